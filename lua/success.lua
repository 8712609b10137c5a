-- success: a job went through. Ends the run of errors, and closes a recovering breaker.
-- KEYS  failures pause state events seen
-- ARGV  token channel who declares permit_incarnation permit_epoch permit_run successes
-- reply changed transitions + the brief view
-- The three permit_ fields are '' for callers without permits. permit_run is the run that was known
-- when the job started: see weigh_success in include/run.lua. successes is how many this process
-- had since its last report, with this one, in the last 10 s at most.
-- @include recovery
-- @include excess

local b, reply = enter(KEYS, ARGV)
if reply then
  return reply
end
local permit_incarnation, permit_epoch, permit_run = ARGV[5], ARGV[6], ARGV[7]
local successes = number(ARGV[8], 1)

local changed = false
if is_paused(b) or not is_current(b, permit_incarnation, permit_epoch) then
  changed = false
elseif is_paced(b) then
  changed = prove_pace(b)
  if permit_epoch == '' and not is_after_trip(b) and b.count > 0 then
    changed = weigh_success(b, permit_run) or changed
  end
elseif b.row.state == 'half-open' then
  close(b)
  step(b, 'closed', {reason = 'a job went through'})
  changed = true
elseif b.count > 0 then
  changed = weigh_success(b, permit_run)
end
local is_weighed = next(b.dirty) ~= nil
if state_of(b) == 'closed' then
  note_successes(b, successes)
end
commit(b)

local said = brief(b)
said.changed = changed
return is_weighed and remember(b, said) or answer(b, said)
