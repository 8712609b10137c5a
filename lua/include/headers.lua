-- @include run
-- What headers that say how much is left do to the pace.

-- Factor: a pace this little above what is allowed is not slowed down.
C.NEARLY = 1.1

-- Calls per second until the reset, and those to rise to after it. A window's remaining calls are
-- spread evenly.
local function allowed_rates(left, limit, resets_in_ms, refill)
  if refill > 0 then
    return refill, refill
  end
  local low = math.max(left, 1) * 1000 / resets_in_ms
  return low, math.max(low, (limit - left) * 1000 / resets_in_ms)
end

-- A recovery under way is no new one, so that headers that stay scarce write no events.
local function adjust(b, low, top, ms)
  local p = pace_of(b)
  local rate = pace_rate(p, b.now)
  if rate <= C.NEARLY * low and low <= (held_to(p, b.now) or low) then
    return false
  end
  pace_hold_on(p, b.now, low, top, ms)
  put_pace(b)
  return true
end

-- The epoch stays: jobs that are under way count, a rate limit error that one of them meets too.
local function begin_pace(b, low, top, ms, reason)
  pace_hold(pace_of(b), b.now, low, top, ms)
  put_pace(b)
  put(b, 'opened_at', b.now)
  put(b, 'trip_id', '')
  clear_count(b)
  go_paced(b, 'paced', {reason = reason})
  return true
end
