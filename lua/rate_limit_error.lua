-- rate_limit_error: the upstream said "slow down". Counts it, and trips the breaker if it is due.
-- KEYS  failures pause state events seen
-- ARGV  token channel who settings declares error_id permit_epoch retry_after_ms
-- reply counted tripped duplicate transitions + the view of snapshot
-- permit_epoch is '' for callers without permits; retry_after_ms is 0 where there is none.
-- @include run

local b = begin(KEYS, ARGV)
local before = repeated(b)
if before then
  return before
end
prepare(b)
local error_id, permit_epoch, retry_after_ms = ARGV[6], ARGV[7], tonumber(ARGV[8])
put(b, 'rate_limit_errors', num(b, 'rate_limit_errors') + 1)

local state = state_of(b)
local is_stale = permit_epoch ~= '' and tonumber(permit_epoch) < num(b, 'epoch')
local trips = num(b, 'trips')
if state == 'open' then
  extend(b, retry_after_ms)
elseif state == 'half-open' and not is_stale then
  add_to_run(b, error_id, retry_after_ms)
  local is_slot = is_paced(b) and permit_epoch ~= ''
  if is_slot and retry_after_ms < num(b, 'cooldown_ms') then
    cut(b, retry_after_ms)
  else
    put(b, 'reopens', is_slot and 0 or num(b, 'reopens') + 1)
    trip(b, 'rate limit error while recovering', retry_after_ms)
  end
elseif (state == 'closed' or state == 'disabled') and not is_stale
  and not is_ahead(b, 'shadow_until', num(b, 'pause_ms')) then
  local workers = add_to_run(b, error_id, retry_after_ms)
  if state == 'closed' and b.count >= num(b, 'threshold') and workers >= num(b, 'min_workers') then
    trip(b, b.count .. ' rate limit errors in a row', num(b, 'run_retry_after_ms'))
  end
end
commit(b)

local said = view(b)
said.counted = b.added or false
said.tripped = num(b, 'trips') > trips
return remember(b, answer(b, said))
