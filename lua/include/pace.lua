-- How fast a recovering breaker lets jobs go: one schedule for the whole fleet. What it is, and
-- why, is told in breaker/pacing.py, which states the same rules; a test holds the two equal.
-- Milliseconds, and calls per second.

local SLOWEST, UNKNOWN = 1 / 60, 1
local QUICK_RISE, FIRST_RISE = 3000, 1000
local STEEP, LINGER, DOUBLING, DOUBLINGS = 2, 1.5, 600, 7
local BEST_HALVES = 60000
local FIRST_SILENCE, USUAL_SILENCE = 250, 5000
local USUAL_MISSES, LONGER_SILENCE, LONGEST_SILENCE = 12, 500, 60000
local RELAPSE = 600000

-- The numbers in the state hash's `pace`, in this order, with what they are at first.
local PACE = {
  'top', UNKNOWN, 'low', UNKNOWN, 'rise', FIRST_RISE, 'slot', 0, 'line', 0, 'told', 0, 'began', 0,
  'proven', 0, 'given', 0, 'idle', 0, 'paused', 0, 'misses', 0, 'early', 0, 'best', 0, 'best_at', 0,
  'delivered', 0, 'is_new', 0, 'calm_from', 0, 'calm_idle', 0, 'calm_at', 0, 'relapses', 0,
}

local function pace_read(text)
  local next_number, p = string.gmatch(text, '%S+'), {}
  for i = 1, #PACE, 2 do
    p[PACE[i]] = tonumber((next_number())) or PACE[i + 1]
  end
  return p
end

local function pace_write(p)
  local numbers = {}
  for i = 1, #PACE, 2 do
    numbers[#numbers + 1] = string.format('%.17g', p[PACE[i]])
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

local function pace_silence(p)
  if p.misses == 0 then
    return 0
  end
  local silence = math.min(USUAL_SILENCE, FIRST_SILENCE * 2 ^ (math.min(p.misses, 10) - 1))
  local more = LONGER_SILENCE * math.max(0, p.misses - USUAL_MISSES)
  return math.min(LONGEST_SILENCE, silence + more)
end

local function pace_curve(p, gone)
  local share = gone / p.rise
  if share <= 1 then
    local left = 1 - share
    return p.top - (p.top - p.low) * left * left * left
  end
  local over = math.min(share, LINGER) - 1
  local beyond = p.top * (1 + STEEP * over * over * over)
  local each = math.max(DOUBLING, p.rise / DOUBLINGS)
  return doubled(beyond, (gone - LINGER * p.rise) / each)
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

local function pace_rate(p, now)
  return pace_rate_at(p, p.proven > 0 and math.min(now, p.slot) or now)
end

local function pace_trip(p, now, pause)
  local is_relapse = p.calm_at > 0 and now >= p.calm_at and now - p.calm_at < RELAPSE
  p.relapses = is_relapse and p.relapses + 1 or 0
  p.top, p.low, p.rise = UNKNOWN, UNKNOWN, FIRST_RISE
  p.delivered, p.is_new, p.paused = 0, 1, pause
  p.misses, p.early = 1, 0
end

local function pace_begin(p, at)
  p.slot, p.began, p.calm_from = at, at, at
  p.line, p.proven, p.given, p.idle, p.calm_idle = 0, 0, 0, 0, 0
  p.told = p.low
end

local function pace_best(p, now)
  return p.best / doubled(1, (now - p.best_at) / BEST_HALVES)
end

local function pace_remember(p, delivered, now)
  p.best, p.best_at = math.max(pace_best(p, now), delivered), now
end

local function pace_learn(p, share, now)
  if p.is_new == 0 or share <= 0 then
    return
  end
  p.delivered = p.delivered + share
  p.top = math.max(p.delivered, SLOWEST)
  p.low = math.max(p.top / 2, SLOWEST)
  p.told = math.min(p.told, p.low)
  pace_remember(p, p.delivered, now)
end

local function pace_hold(p, now, low, top, ms)
  p.top, p.low, p.rise = math.max(top, SLOWEST), math.max(low, SLOWEST), QUICK_RISE
  p.is_new, p.misses, p.paused = 0, 0, 0
  pace_begin(p, now)
  p.proven = now + ms
end

-- The store's clock was set: every moment of the schedule moves with it.
local function pace_shift(p, ms)
  for _, field in ipairs({'slot', 'line', 'began', 'proven', 'best_at', 'calm_from', 'calm_at'}) do
    if p[field] > 0 then
      p[field] = p[field] + ms
    end
  end
end

-- Time under an operator's pause is not time in which slots went unused.
local function pace_thaw(p, now)
  local unused = math.max(0, now - p.slot)
  p.slot, p.calm_from, p.calm_idle = math.max(p.slot, now), now, 0
  p.idle = p.idle + unused
  if p.proven > 0 and p.proven <= now then
    p.proven = math.min(now, p.proven + unused)
  end
end
