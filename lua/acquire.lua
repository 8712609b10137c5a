-- acquire: leave to run one job.
-- KEYS  failures pause state events seen
-- ARGV  token channel who declares patience_ms in_turn share
-- reply granted wait_ms probe in_turn transitions + the brief view
-- The token is the permit's id, and the probe's lease: asking again with it gives the same slot.
-- patience_ms is how long the caller would wait for a slot. in_turn is the number of its turn, as
-- the last reply gave it, or '' if it asks for the first time. share is what its process had
-- delivered per second before the recovery whose number is in `asks`, sent once for each, else ''.
-- @include recovery

local b, reply = enter(KEYS, ARGV)
if reply then
  return reply
end
local patience_ms, turn, share = number(ARGV[5], 0), number(ARGV[6], 0), number(ARGV[7])

if share and b.row.recovery == 'pace' then
  pace_learn(pace_of(b), share, b.now)
  put_pace(b)
end

local granted, wait_ms, in_turn = true, nil, nil
local is_slot = is_paced(b)
local is_probe = state_of(b) == 'half-open' and b.row.recovery == 'probe'
if is_slot then
  granted, wait_ms, in_turn = take_slot(b, patience_ms, turn)
elseif is_probe then
  granted, wait_ms = take_probe(b)
elseif is_paused(b) then
  granted, wait_ms = false, b.left
end
commit(b)

local said = brief(b)
said.granted, said.wait_ms, said.in_turn = granted, wait_ms, in_turn
said.probe = granted and (is_probe or is_slot and b.pace.proven == 0)
local answered = answer(b, said)
if b.seen_key and (is_slot or share) then
  keep(b.seen_key, C.SLOT .. b.token .. answered, C.SLOT_KEPT)
end
return answered
