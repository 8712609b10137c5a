-- success: a job went through. Ends the run of errors, and closes a recovering breaker.
-- KEYS  failures pause state events seen
-- ARGV  token channel who settings declares permit_epoch permit_run
-- reply changed transitions + the brief view
-- permit_epoch and permit_run are '' for callers without permits. A job that started before the
-- present run of errors says nothing about it; which run it started in, its permit says, as far as
-- workers have been told of runs.
-- @include recovery

local b = begin(KEYS, ARGV)
local before = repeated(b)
if before then
  return before
end
prepare(b)
local permit_epoch, permit_run = ARGV[6], ARGV[7]

local state = state_of(b)
local is_current = permit_epoch == '' or tonumber(permit_epoch) >= num(b, 'epoch')
local is_of_run = permit_run == '' or tonumber(permit_run) >= num(b, 'told_run')
local changed = false
if is_paced(b) and is_current then
  changed = pace_prove(pace_of(b), b.now)
  if changed then
    clear_count(b)
  end
  -- Whoever goes without permits takes no slots, and so shows only here that all is calm.
  if permit_epoch == '' then
    close_if_calm(b)
  end
  put_pace(b)
elseif state == 'half-open' and is_current then
  end_pause(b, 'closed', 'closed', {reason = 'a job went through'})
  changed = true
elseif (state == 'closed' or state == 'disabled') and b.count > 0 and is_current and is_of_run then
  clear_count(b)
  put(b, 'run_errors', '')
  changed = true
end
commit(b)

local said = brief(b)
said.changed = changed
local reply = answer(b, said)
return changed and remember(b, reply) or reply
