-- @include slots
-- An error while the fleet is paced: slow down.

local RISE, RISE_CALLS = 10000, 150
local COSTS, COSTS_MOST = 20, 300000
local IS_LESS, LASTING = 0.7, 5000
local TELLING, TELLING_CALLS, RESTED = 1000, 10, 0.25

local function pace_slow_down(p, now, pause)
  pace_note_unused(p, now)
  local rate = pace_rate(p, now)
  local calls = p.given - math.max(0, p.slot - now) * rate / 1000
  local gone = math.max(1, now - p.began)
  local busy = gone - p.idle
  if p.idle > gone / 3 then
    rate = math.min(rate, 2000 * math.max(1, calls) / gone)
  end
  if busy >= TELLING and calls >= TELLING_CALLS then
    local rested = math.min(p.paused, busy * RESTED)
    local delivered = math.min(rate, calls * 1000 / (busy + rested))
    p.early = 0
    p.top = math.max(1.05 * delivered, 0.85 * rate)
    p.low = math.max(0.95 * delivered, rate / 2)
    if busy >= LASTING then
      pace_remember(p, delivered, now)
    end
  else
    p.early = p.early + 1
    p.top, p.low = rate, rate * math.max(0.5, 0.95 - 0.15 * p.early)
  end
  p.top, p.low = math.max(p.top, SLOWEST), math.max(p.low, SLOWEST)
  p.is_new = 0
  local best = pace_best(p, now)
  local is_less = best == 0 or p.top < IS_LESS * best
  local costs = math.min(COSTS_MOST, COSTS * pause)
  local usual = math.max(RISE, RISE_CALLS * 1000 / p.top, costs)
  p.rise = is_less and QUICK_RISE or usual
end

local function pace_cut(p, now, pause)
  if p.proven > 0 then
    pace_slow_down(p, now, pause)
  else
    p.misses = p.misses + 1
  end
  local wait = math.max(pause, pace_silence(p))
  if wait == 0 then
    wait = 1000 / p.low
  end
  p.paused = pause
  pace_begin(p, now + wait)
  return wait
end
