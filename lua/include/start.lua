-- @include pace
-- How a pace begins: after a trip, at a mild excess, or by what headers say.
-- breaker/pacing/start.py states the same rules and explains them.

-- Share of the sum of what the workers had delivered: where the rate begins after a trip. A
-- first job has gone through by then, so the outage is over.
C.AFTER_TRIP = 0.95
-- The same where most calls went through all the time.
C.AFTER_EXCESS = 0.95
-- Milliseconds: a trip so soon after a recovery shows that the recovery ended too early.
C.RELAPSE = 600000

-- Voids the slots that have not come yet: those who had them are next again. Anew: no recovery is
-- under way, so no worker has a turn.
local function pace_take_back(p, now, is_anew)
  pace_keep_up(p, now)
  local ahead = (p.slot - now) * pace_rate(p, now) / 1000
  p.called = is_anew and p.turns or p.called - ahead
  p.given = p.given - ahead
  p.slot = now
end

-- Begins an epoch, whose calls may go after `wait`.
local function pace_begin(p, now, wait)
  pace_take_back(p, now, false)
  local at = now + (wait or 0)
  p.slot, p.began, p.calm_from, p.quiet_from = at, at, at, at
  p.proven, p.given, p.idle, p.calm_idle = 0, 0, 0, 0
  p.told = p.low
end

-- Asks the workers what they had delivered before: nothing else is known.
local function pace_ask(p, pause)
  p.top, p.low, p.rise = C.UNKNOWN, C.UNKNOWN, C.FIRST_RISE
  p.delivered, p.is_new, p.paused = 0, 1, pause
  p.misses, p.early = 0, 0
  p.round = p.round + 1
end

local function pace_trip(p, now, pause, is_anew)
  local is_relapse = p.calm_at > 0 and now >= p.calm_at and now - p.calm_at < C.RELAPSE
  p.relapses = is_relapse and p.relapses + 1 or 0
  pace_take_back(p, now, is_anew)
  pace_ask(p, pause)
  p.misses = 1
end

local function pace_go_for(p, rate)
  p.top, p.low = rate, rate * C.AFTER_EXCESS
end

-- Begins at about `rate`, without a pause: most calls go through, and too many do not.
local function pace_start(p, now, rate)
  pace_take_back(p, now, true)
  pace_ask(p, 0)
  pace_go_for(p, math.max(rate, C.UNKNOWN))
  pace_begin(p, now)
  p.proven = now
end

-- Takes in what one process had delivered per second before.
local function pace_learn(p, share, now)
  if p.is_new == 0 or share <= 0 then
    return
  end
  p.delivered = p.delivered + share
  if p.paused > 0 then
    p.top = math.max(p.delivered, C.SLOWEST)
    p.low = math.max(p.top * C.AFTER_TRIP, C.SLOWEST)
  else
    pace_go_for(p, math.max(p.delivered, p.top))
  end
  p.told = math.min(p.told, p.low)
  pace_remember(p, p.delivered, now)
end

-- Goes on at another rate, held for `ms`. A rate that is known to be allowed for good is exceeded
-- only slowly.
local function pace_hold_on(p, now, low, top, ms)
  pace_keep_up(p, now)
  p.top, p.low = math.max(top, C.SLOWEST), math.max(low, C.SLOWEST)
  p.rise = top > low and C.QUICK_RISE or pace_usual_rise(p.top)
  p.misses, p.proven, p.quiet_from = 0, now + ms, now + ms
end

-- Begins at `low` for `ms`, and only then rises.
local function pace_hold(p, now, low, top, ms)
  pace_take_back(p, now, true)
  p.is_new, p.misses, p.paused = 0, 0, 0
  p.low = math.max(low, C.SLOWEST)
  pace_begin(p, now)
  pace_hold_on(p, now, low, top, ms)
end
