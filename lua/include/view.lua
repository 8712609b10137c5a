-- @include row
-- What a breaker tells of itself.

-- Workers may stop sending successes as long as nobody counts errors, so the first error of a run
-- is pushed to them all; at most one such push a second, or a few per cent of errors would make a
-- storm of them.
local TELL_EVERY_MS = 1000

local function as_rate(rate)
  return math.floor(math.min(rate, 1000000) * 1000 + 0.5) / 1000
end

-- What a worker needs to know to go on without asking.
local function brief(b)
  local seen = {
    incarnation = b.row.incarnation, version = num(b, 'version'), news = num(b, 'news'),
    state = state_of(b), paused = is_paused(b), epoch = num(b, 'epoch'), run = num(b, 'run'),
    count = b.count, resumes_in_ms = b.left >= 0 and b.left or nil,
    listeners = num(b, 'listeners'),
  }
  if is_paced(b) then
    local p = pace_of(b)
    seen.pace, seen.told = as_rate(pace_rate(p, b.now)), as_rate(p.told)
  end
  if b.row.recovery == 'pace' and (seen.state == 'open' or seen.state == 'half-open')
    and pace_of(b).is_new == 1 then
    seen.asks = num(b, 'trips')
  end
  return seen
end

local function view(b)
  local seen = brief(b)
  if is_ahead(b, 'told_until', TELL_EVERY_MS) then
    seen.untold_for_ms = num(b, 'told_until') - b.now
  end
  local state = seen.state
  seen.exists = b.row.incarnation ~= nil
  seen.reason, seen.by, seen.overrides = b.row.reason, b.row.by, b.row.overrides
  seen.trips, seen.cuts = num(b, 'trips'), num(b, 'cuts')
  seen.rate_limit_errors = num(b, 'rate_limit_errors')
  seen.paused_ms = paused_ms(b)
  seen.recovery, seen.mode = b.row.recovery, b.row.mode
  for _, option in ipairs({'threshold', 'cooldown_ms', 'max_cooldown_ms', 'min_workers',
    'forget_after_ms', 'probe_lease_ms'}) do
    seen[option] = tonumber(b.row[option])
  end
  if state == 'open' or state == 'forced-open' or state == 'half-open' then
    seen.opened_at = tonumber(b.row.opened_at)
    seen.trip_id = b.row.trip_id
  end
  if state == 'half-open' and is_ahead(b, 'lease_until', num(b, 'probe_lease_ms')) then
    seen.lease_left_ms = num(b, 'lease_until') - b.now
  end
  return seen
end
