-- @include slots
-- An error while the fleet is paced: slow down. breaker/pacing/cut.py states the same rules and
-- explains them.

-- A cut uses the rate that was delivered since the last one, if there was so much to measure:
-- milliseconds of work, and calls.
C.TELLING = 1000
C.TELLING_CALLS = 4
-- Share of the working time by which the pause before may count as work.
C.RESTED = 0.25
-- Factors: the rate rises to this much of what was delivered, or of the rate at the error.
C.ABOVE_DELIVERED = 1.05
C.BELOW_ERROR = 0.85
-- Factors: and it begins at this much of what was delivered, or of the rate at the error.
C.BELOW_DELIVERED = 0.95
C.LEAST_LEFT = 0.5
-- Share of the rate that each cut takes away which came too early to measure, growing by as much
-- with each one in a row, down to LEAST_LEFT.
C.FIRST_LOSS = 0.05
C.FURTHER_LOSS = 0.15
-- Share of the time: if more went unused, it was not the pace that limited the fleet.
C.UNUSED = 1 / 3
-- Milliseconds: a rate that was delivered for at least this long is remembered.
C.LASTING = 5000
-- Share of the best remembered rate: below it, the upstream allows less than recently, and the
-- rate rises quickly.
C.RECENT = 0.7
-- Pauses and milliseconds: an error that cost a pause is not risked again for this many times its
-- length, and at most for this long.
C.COSTS = 20
C.MOST_COSTS = 300000

local function pace_go_by(p, delivered, rate)
  p.early = 0
  p.top = math.max(C.ABOVE_DELIVERED * delivered, C.BELOW_ERROR * rate)
  p.low = math.max(C.BELOW_DELIVERED * delivered, C.LEAST_LEFT * rate)
end

local function pace_next_rise(p, now, pause)
  local best = pace_best(p, now)
  if best == 0 or p.top < C.RECENT * best then
    return C.QUICK_RISE
  end
  local costs = math.min(C.MOST_COSTS, C.COSTS * pause)
  return math.max(pace_usual_rise(p.top), costs)
end

local function pace_slow_down(p, now, pause)
  local rate, calls = pace_rate(p, now), p.given
  local gone = math.max(1, now - p.began)
  local busy = gone - p.idle
  if p.idle > gone * C.UNUSED then
    rate = math.min(rate, 2000 * math.max(1, calls) / gone)
  end
  if busy >= C.TELLING and calls >= C.TELLING_CALLS then
    local rested = math.min(p.paused, busy * C.RESTED)
    local delivered = math.min(rate, calls * 1000 / (busy + rested))
    pace_go_by(p, delivered, rate)
    if busy >= C.LASTING then
      pace_remember(p, delivered, now)
    end
  else
    p.early = p.early + 1
    local kept = 1 - C.FIRST_LOSS - C.FURTHER_LOSS * p.early
    p.top, p.low = rate, rate * math.max(C.LEAST_LEFT, kept)
  end
  p.top, p.low = math.max(p.top, C.SLOWEST), math.max(p.low, C.SLOWEST)
  p.is_new = 0
  p.rise = pace_next_rise(p, now, pause)
end

local function pace_cut(p, now, pause)
  pace_take_back(p, now, false)
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
  pace_begin(p, now, wait)
  return wait
end
