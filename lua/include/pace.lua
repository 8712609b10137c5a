-- The rate of a recovering fleet, and what is known about the upstream. breaker/pacing/pace.py
-- states the same rules and explains them; a test holds the two equal.
-- Times are milliseconds, rates are calls per second.

-- Calls per second: the pace never falls below this.
C.SLOWEST = 1 / 60
-- Calls per second: the pace of a fleet about which nothing is known.
C.UNKNOWN = 1
-- Milliseconds: how long the rate takes from `low` to `top` after a trip.
C.FIRST_RISE = 1000
-- Milliseconds: the same while less gets through than recently.
C.QUICK_RISE = 3000
-- Milliseconds: the same as a rule.
C.USUAL_RISE = 10000
-- Calls: a usual rise is never shorter than this many calls at `top`.
C.RISE_CALLS = 150
-- Rises: from one rise until this many, the rate grows by 1 + STEEP * x^3; then it doubles.
C.LINGER = 1.5
C.STEEP = 2
-- Doublings in the length of one rise, once the rate doubles.
C.DOUBLINGS = 7
-- Milliseconds: the rate never doubles faster than this.
C.DOUBLING = 600
-- Milliseconds: a remembered rate fades by half in this time.
C.BEST_HALVES = 60000
-- Milliseconds without a job after one rate limit error before any success; each further error
-- doubles this, up to USUAL_SILENCE.
C.FIRST_SILENCE = 250
C.USUAL_SILENCE = 5000
-- Rate limit errors in a row: from then on each adds LONGER_SILENCE, up to LONGEST_SILENCE. A long
-- outage then costs few jobs, and its end is noticed within a tenth of its length.
C.USUAL_MISSES = 12
C.LONGER_SILENCE = 500
C.LONGEST_SILENCE = 60000

-- The numbers in the state hash's `pace`, in this order, with what they are at first.
C.PACE = {
  'top', C.UNKNOWN, 'low', C.UNKNOWN, 'rise', C.FIRST_RISE, 'slot', 0, 'turns', 0, 'told', 0,
  'began', 0, 'proven', 0, 'given', 0, 'idle', 0, 'paused', 0, 'misses', 0, 'early', 0, 'best', 0,
  'best_at', 0, 'delivered', 0, 'is_new', 0, 'calm_from', 0, 'calm_idle', 0, 'calm_at', 0,
  'relapses', 0, 'called', 0, 'round', 0, 'quiet_from', 0,
}

-- Those of them that are moments: they move along when the store's clock is set back.
C.PACE_MOMENTS = {'slot', 'began', 'proven', 'best_at', 'calm_from', 'calm_at', 'quiet_from'}

local function pace_read(text)
  local next_number, p = string.gmatch(text, '%S+'), {}
  for i = 1, #C.PACE, 2 do
    p[C.PACE[i]] = tonumber((next_number())) or C.PACE[i + 1]
  end
  return p
end

local function pace_write(p)
  local numbers = {}
  for i = 1, #C.PACE, 2 do
    numbers[#numbers + 1] = string.format('%.17g', p[C.PACE[i]])
  end
  return table.concat(numbers, ' ')
end

local function doubled(base, times)
  if times <= 0 then
    return base
  end
  local whole = math.min(60, math.floor(times))
  return base * 2 ^ whole * (1 + math.min(1, times - whole))
end

-- The rate.

local function pace_silence(p)
  if p.misses == 0 then
    return 0
  end
  local silence = math.min(C.USUAL_SILENCE, C.FIRST_SILENCE * 2 ^ (math.min(p.misses, 10) - 1))
  local more = C.LONGER_SILENCE * math.max(0, p.misses - C.USUAL_MISSES)
  return math.min(C.LONGEST_SILENCE, silence + more)
end

local function pace_curve(p, gone)
  local share = gone / p.rise
  if share <= 1 then
    local left = 1 - share
    return p.top - (p.top - p.low) * left * left * left
  end
  local over = math.min(share, C.LINGER) - 1
  local beyond = p.top * (1 + C.STEEP * over * over * over)
  local each = math.max(C.DOUBLING, p.rise / C.DOUBLINGS)
  return doubled(beyond, (gone - C.LINGER * p.rise) / each)
end

local function pace_rate_at(p, at)
  if p.proven > 0 then
    return pace_curve(p, math.max(0, at - p.proven))
  elseif p.misses == 0 then
    return p.low
  end
  local hesitant = doubled(1000 / pace_silence(p), (at - p.began) / 1000)
  return math.min(p.low, hesitant)
end

local function pace_usual_rise(rate)
  return math.max(C.USUAL_RISE, C.RISE_CALLS * 1000 / rate)
end

-- Slots up to now that no worker took count as idle, even before pace_keep_up() notes them.
local function pace_rate(p, now)
  return pace_rate_at(p, p.proven > 0 and math.min(now, p.slot) or now)
end

-- The rate by which turns are given: a hesitant rate does not last.
local function pace_promise(p, now)
  return p.proven > 0 and pace_rate(p, now) or p.low
end

-- Time.

local function pace_stand_still(p, now, unused)
  p.slot = math.max(p.slot, now)
  p.idle = p.idle + unused
  if p.proven > 0 and p.proven <= now then
    p.proven = math.min(now, p.proven + unused)
  end
end

-- Notes the slots that went unused until now: their turns have passed.
local function pace_keep_up(p, now)
  local unused = now - p.slot
  if unused > 0 then
    local passed = unused * pace_rate_at(p, p.slot) / 1000
    p.called = math.min(p.turns, p.called + passed)
    p.calm_idle = p.calm_idle + unused
    pace_stand_still(p, now, unused)
  end
end

-- Goes on after an operator's pause, in which no slot could be used and no turn passed.
local function pace_thaw(p, now)
  pace_stand_still(p, now, math.max(0, now - p.slot))
  p.calm_from, p.calm_idle, p.quiet_from = now, 0, math.max(p.quiet_from, now)
end

-- Moves every moment: the store's clock was set back.
local function pace_shift(p, ms)
  for _, field in ipairs(C.PACE_MOMENTS) do
    if p[field] > 0 then
      p[field] = p[field] + ms
    end
  end
end

local function pace_best(p, now)
  return p.best / doubled(1, (now - p.best_at) / C.BEST_HALVES)
end

local function pace_remember(p, delivered, now)
  p.best, p.best_at = math.max(pace_best(p, now), delivered), now
end
