-- release: a permit is given back without a result. A probe's lease is free again at once.
-- KEYS  failures pause state events
-- ARGV  token channel who settings declares permit_id
-- reply changed transitions + the brief view
-- @include settings

local b = begin(KEYS, ARGV)
prepare(b)
local is_holder = b.row.lease_id == ARGV[6]
if is_holder then
  put(b, 'lease_id', '')
  put(b, 'lease_until', 0)
end
commit(b)
local said = brief(b)
said.changed = is_holder
return answer(b, said)
