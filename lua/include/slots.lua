-- @include start
-- Grants slots of the schedule, or tells a worker when to ask again. breaker/pacing/slots.py
-- states the same rules and explains them.

-- Milliseconds: slots are granted at most this far ahead (or one slot, if slots are further
-- apart), so that few are already taken when a cut comes.
C.HORIZON = 1000
-- Milliseconds: a worker in line asks again this long before its turn, unless its wait is shorter.
C.LEAD = 500
-- Milliseconds: a worker in line that cannot wait may start this much early.
C.TOLERANCE = 50
-- Milliseconds: a worker in line asks again at least this often, as the pace may have changed.
C.LONGEST_WAIT = 60000
-- Turns: more workers than this are not kept in line. It bounds what a client that asks again
-- and again without naming its turn does to the others.
C.LONGEST_LINE = 100000
-- Milliseconds and slots: a recovery ends when a third of a time of this length went unused.
C.CALM = 10000
C.CALM_SLOTS = 10
-- Relapses: each doubles the time above, up to this many.
C.MOST_RELAPSES = 6
-- Milliseconds of jobs without any result: then they count as a success. Absent evidence must not
-- hold a recovery back for ever, and a rate limit error arrives long before a slow success.
C.PRESUMED = 5000

local function pace_gap(p, at)
  local gap = 1000 / pace_rate_at(p, at)
  while gap > 1 and pace_rate_at(p, at + gap / 2) * gap / 2000 >= 1 do
    gap = gap / 2
  end
  return gap
end

-- How many turns come before this one.
local function pace_place(p, turn)
  return math.max(0, turn - p.called - 1)
end

-- A call of this epoch went through. Returns whether it was the first.
local function pace_prove(p, now)
  if p.proven > 0 then
    return false
  end
  p.proven = math.max(now, p.began)
  if p.misses > 0 then
    p.misses, p.rise = 0, math.min(p.rise, C.QUICK_RISE)
    p.slot = math.min(p.slot, p.proven + pace_gap(p, p.proven))
  end
  return true
end

local function pace_presume(p, now)
  if p.proven == 0 and p.given > 0 and now - p.began - p.idle >= C.PRESUMED then
    pace_prove(p, now)
  end
end

local function pace_is_watched(p, now)
  local calm = doubled(C.CALM, math.min(p.relapses, C.MOST_RELAPSES))
  local length = math.max(calm, p.paused, C.CALM_SLOTS * 1000 / pace_rate(p, now))
  local called = p.called + math.max(0, now - p.slot) * pace_rate_at(p, p.slot) / 1000
  local is_line = p.turns - called >= 1
  -- Without a job there is nothing to know, and nothing that a pace would limit.
  local is_known = p.proven > 0 or p.given < 1
  return is_known and not is_line and now - p.calm_from >= length
end

-- Whether the pace limits nothing any more, or no error came for `forget_after`. Changes nothing.
local function pace_is_over(p, now, forget_after_ms)
  if p.proven > now then
    return false
  elseif now - p.quiet_from >= forget_after_ms then
    return true
  end
  local unused = p.calm_idle + math.max(0, now - p.slot)
  local watched = now - p.calm_from
  return pace_is_watched(p, now) and unused >= watched / 3
end

local function pace_watch(p, now)
  if pace_is_watched(p, now) then
    p.calm_from, p.calm_idle = now, 0
  end
end

local function pace_end(p, now)
  pace_keep_up(p, now)
  p.calm_at = now
end

-- A turn that has passed counts as none: others have gone instead. A hesitant pace is over soon:
-- then the promise holds, and until then no worker asks again at once.
local function pace_send_away(p, now, patience, turn, ahead)
  if turn == 0 and p.turns - p.called >= C.LONGEST_LINE then
    return false, C.LONGEST_WAIT, 0
  end
  if turn <= p.called then
    p.turns = p.turns + 1
    turn = p.turns
  end
  local due = p.slot - now + pace_place(p, turn) * 1000 / pace_promise(p, now)
  local wait = math.max(due, math.min(ahead, C.HORIZON)) - math.min(C.LEAD, patience)
  return false, math.max(1, math.min(C.LONGEST_WAIT, wait)), turn
end

-- A slot for the worker with this turn (0: it has none). `cost` is in units of the allowance.
local function pace_take(p, now, patience, turn, cost)
  if p.began == 0 then
    pace_begin(p, now)
  end
  pace_keep_up(p, now)
  pace_presume(p, now)
  pace_watch(p, now)
  local gap = pace_gap(p, p.slot)
  local wait = p.slot - now
  local ahead = wait + pace_place(p, turn > 0 and turn or p.turns + 1) * gap
  local near = math.min(patience, math.max(C.HORIZON, gap))
  if turn > 0 then
    near = math.max(near, C.TOLERANCE, patience <= 0 and gap or 0)
  end
  if wait > 0 and ahead > near then
    return pace_send_away(p, now, patience, turn, ahead)
  end
  p.turns = p.turns + (turn == 0 and 1 or 0)
  p.called = math.min(p.turns, p.called + 1)
  p.slot = p.slot + gap * cost
  p.given = p.given + cost
  return true, wait, turn > 0 and turn or p.turns
end

-- A slot that no job used counts as time that went unused.
local function pace_give_back(p, now)
  pace_keep_up(p, now)
  local gap = 1000 / pace_rate(p, now)
  p.given = math.max(0, p.given - 1)
  p.calm_idle = p.calm_idle + gap
  pace_stand_still(p, now, gap)
end

local function pace_has_risen(p, now)
  local rate = pace_promise(p, now)
  if rate < 2 * p.told then
    return false
  end
  p.told = rate
  return true
end
