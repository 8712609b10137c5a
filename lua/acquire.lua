-- acquire: leave to run one job.
-- KEYS  failures pause state events
-- ARGV  token channel who declares patience_ms in_turn share
-- reply granted wait_ms probe in_turn transitions + the brief view
-- The token is the permit's id, and the probe's lease: asking again with it is harmless.
-- patience_ms is how long the caller would wait for a slot; in_turn is 1 if it was sent away and
-- comes when told to, else ''; share is what its process had delivered per second before the trip
-- whose number is in `asks`, told once for each trip, else ''.
-- @include recovery

local b, reply = enter(KEYS, ARGV)
if reply then
  return reply
end
local patience_ms, asks_in_turn, share = tonumber(ARGV[5]), ARGV[6] == '1', tonumber(ARGV[7])

if share and b.row.recovery == 'pace' then
  pace_learn(pace_of(b), share, b.now)
  put_pace(b)
end
if is_paced(b) then
  close_if_calm(b)
end

local granted, wait_ms, in_turn = true, nil, nil
local is_slot = is_paced(b)
local is_probe = state_of(b) == 'half-open' and b.row.recovery == 'probe'
if is_slot then
  granted, wait_ms, in_turn = take_slot(b, patience_ms, asks_in_turn)
elseif is_probe then
  granted, wait_ms = take_probe(b)
elseif is_paused(b) then
  granted, wait_ms = false, b.left
end
commit(b)

local said = brief(b)
said.granted, said.wait_ms, said.in_turn = granted, wait_ms, in_turn
said.probe = granted and (is_probe or is_slot and b.pace.proven == 0)
return answer(b, said)
