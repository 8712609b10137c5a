-- acquire: leave to run one job.
-- KEYS  failures pause state events
-- ARGV  token channel who settings declares
-- reply granted wait_ms probe transitions + the brief view
-- The token is the permit's id, and the probe's lease: asking again with it is harmless.
-- @include settings

local b = begin(KEYS, ARGV)
prepare(b)

local granted, wait_ms = true, nil
local state = state_of(b)
if state == 'half-open' and b.row.recovery == 'probe' and b.row.lease_id ~= b.token then
  if is_ahead(b, 'lease_until', num(b, 'probe_lease_ms')) then
    granted, wait_ms = false, num(b, 'lease_until') - b.now
  else
    put(b, 'lease_id', b.token)
    put(b, 'lease_until', b.now + num(b, 'probe_lease_ms'))
  end
elseif is_paused(b) then
  granted, wait_ms = false, b.left
end
commit(b)

local said = brief(b)
said.granted, said.wait_ms = granted, wait_ms
said.probe = granted and state == 'half-open'
return answer(b, said)
