-- rate_limit_error: the upstream said "slow down". Counts it, and trips the breaker if it is due.
-- KEYS  failures pause state events seen
-- ARGV  token channel who declares error_id permit_incarnation permit_epoch retry_after_ms kind successes
-- reply counted tripped duplicate transitions + the view of snapshot
-- permit_incarnation and permit_epoch are '' for callers without permits. retry_after_ms is 0 where
-- none is known. kind: rate_limit, overload or quota, which trips at once. successes: how many this
-- process had since its last report, in the last 10 s at most.
-- @include excess

local error_id, permit_incarnation, permit_epoch = ARGV[5], ARGV[6], ARGV[7]
local retry_after_ms, kind, successes = number(ARGV[8], 0), ARGV[9], number(ARGV[10], 0)

-- Trips: a Retry-After as long as the cooldown, an error of a job without a slot, and `threshold`
-- errors in a row if the pace began without a trip.
local function slow_down(b)
  local is_run = is_due(b, add_to_run(b, error_id, retry_after_ms))
  local is_slot = is_paced(b) and permit_epoch ~= ''
  local is_trip = asked_ms(b) >= num(b, 'cooldown_ms') or is_run and not is_after_trip(b)
  if is_slot and kind ~= 'quota' and not is_trip then
    return cut(b)
  end
  put(b, 'reopens', is_slot and 0 or num(b, 'reopens') + 1)
  trip(b, 'rate limit error while recovering', kind)
end

-- A caller without permits follows no pace, so its errors start none either.
local function count(b)
  local is_run = is_due(b, add_to_run(b, error_id, retry_after_ms))
  if b.row.disabled == '1' then
    return
  elseif kind == 'quota' then
    trip(b, 'the quota is exhausted', kind)
  elseif is_run then
    trip(b, b.count .. ' rate limit errors in a row', kind)
  elseif permit_epoch ~= '' then
    weigh_share(b, successes)
  end
end

local b, reply = enter(KEYS, ARGV)
if reply then
  return reply
end
put(b, 'rate_limit_errors', num(b, 'rate_limit_errors') + 1)
local trips = num(b, 'trips')
if b.row.state == 'open' then
  extend(b, permit_incarnation, retry_after_ms)
elseif not is_paused(b) and is_current(b, permit_incarnation, permit_epoch) then
  if b.row.state == 'half-open' and (permit_epoch ~= '' or is_after_trip(b)) then
    slow_down(b)
  elseif not is_ahead(b, 'shadow_until') then
    count(b)
  end
end
commit(b)

local said = view(b)
said.counted = b.added or false
said.tripped = num(b, 'trips') > trips
return remember(b, said)
