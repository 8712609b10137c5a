-- release: a permit is given back without a result. A probe's lease is free again at once.
-- KEYS  failures pause state events
-- ARGV  token channel who declares permit_id
-- reply changed transitions + the brief view
-- @include settings

local b, reply = enter(KEYS, ARGV)
if reply then
  return reply
end
local is_holder = b.row.lease_id == ARGV[5]
if is_holder then
  free_lease(b)
end
commit(b)
local said = brief(b)
said.changed = is_holder
return answer(b, said)
