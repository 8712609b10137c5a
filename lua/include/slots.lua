-- @include pace
-- Who gets which slot of the schedule, and who is sent away until when.

local HORIZON, LEAD, TOLERANCE, LONGEST_WAIT = 1000, 500, 50, 60000
local CALM, CALM_SLOTS, MOST_RELAPSES = 10000, 10, 6

local function pace_gap(p, at)
  local gap = 1000 / pace_rate_at(p, at)
  while gap > 1 and pace_rate_at(p, at + gap / 2) * gap / 2000 >= 1 do
    gap = gap / 2
  end
  return gap
end

local function pace_prove(p, now)
  if p.proven > 0 then
    return false
  end
  p.proven = math.max(now, p.began)
  if p.misses > 0 then
    p.misses, p.rise = 0, math.min(p.rise, QUICK_RISE)
    p.slot = math.min(p.slot, p.proven + pace_gap(p, p.proven))
  end
  return true
end

local function pace_note_unused(p, now)
  local unused = now - p.slot
  if unused <= 0 then
    return
  end
  p.slot = now
  p.idle = p.idle + unused
  p.calm_idle = p.calm_idle + unused
  if p.proven > 0 and p.proven <= now then
    p.proven = math.min(now, p.proven + unused)
  end
end

local function pace_is_calm(p, now)
  pace_note_unused(p, now)
  local calm = doubled(CALM, math.min(p.relapses, MOST_RELAPSES))
  local length = math.max(calm, p.paused, CALM_SLOTS * 1000 / pace_rate(p, now))
  local watched = now - p.calm_from
  if p.proven == 0 or watched < length or p.line > now then
    return false
  end
  local unused = p.calm_idle
  p.calm_from, p.calm_idle = now, 0
  if unused < watched / 3 then
    return false
  end
  p.calm_at = now
  return true
end

local function pace_promise(p, now)
  return p.proven > 0 and pace_rate(p, now) or p.low
end

local function pace_turn(p, now, patience)
  local line = math.max(p.line, p.slot)
  if line - now > LONGEST_WAIT then
    return LONGEST_WAIT
  end
  p.line = line + 1000 / pace_promise(p, now)
  return math.max(1, line - now - (patience > 0 and LEAD or 0))
end

local function pace_take(p, now, patience, in_turn)
  if p.began == 0 or p.slot > now + 3 * LONGEST_WAIT then
    pace_begin(p, now)
  end
  pace_note_unused(p, now)
  local gap = pace_gap(p, p.slot)
  local wait = p.slot - now
  local near = math.min(patience, math.max(HORIZON, gap))
  if in_turn then
    near = math.max(near, TOLERANCE, patience <= 0 and gap or 0)
  end
  if wait <= near and (in_turn or wait <= 0 or p.line <= p.slot) then
    p.slot = p.slot + gap
    p.given = p.given + 1
    return true, wait
  end
  return false, pace_turn(p, now, patience)
end

local function pace_has_risen(p, now)
  local rate = pace_promise(p, now)
  if rate < 2 * p.told then
    return false
  end
  if p.line > now then
    p.line = now + (p.line - now) * p.told / rate
  end
  p.told = rate
  return true
end
