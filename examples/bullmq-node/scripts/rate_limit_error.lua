-- rate_limit_error: the upstream said "slow down". Counts it, and trips the breaker if it is due.
-- KEYS  failures pause state events seen
-- ARGV  token channel who declares error_id permit_incarnation permit_epoch retry_after_ms kind successes
-- reply counted tripped duplicate transitions + the view of snapshot
-- permit_incarnation and permit_epoch are '' for callers without permits. retry_after_ms is 0 where
-- none is known. kind: rate_limit, overload or quota, which trips at once. successes: how many this
-- process had since its last report, in the last 10 s at most.
-- Everything here that depends on time, and all of it on the store's own clock. Tests replace
-- this one file to move time by hand.

-- Constants are fields of one table: Lua allows a script 200 locals. Each has its unit and reason.
local C = {}

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function peek(key)
  return redis.call('GET', key)
end

-- Milliseconds until the key goes; -1 without a TTL, -2 without a key.
local function left_ms(key)
  return redis.call('PTTL', key)
end

local function keep(key, value, ms)
  if ms then
    redis.call('SET', key, value, 'PX', ms)
  else
    redis.call('SET', key, value)
  end
end

local function keep_for(key, ms)
  redis.call('PEXPIRE', key, ms)
end

-- Upkeep: a store that takes no writes for now still answers a reader.
local function keep_at_least(key, ms)
  redis.pcall('PEXPIRE', key, ms)
end

local function count_up(key, ms)
  redis.call('INCR', key)
  redis.call('PEXPIRE', key, ms)
end

local function drop(key)
  redis.call('DEL', key)
end
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
-- The breaker as a script sees it: begin() reads all of it, a script changes it in memory,
-- commit() writes all of it. Reading before writing means that a key of a wrong type fails a
-- script before it has changed anything.
--
-- Two layers, in fields of their own. `state` is the automaton: closed, open or half-open. An
-- operator's orders lie over it: `order` is 'paused' until `order_until` (0: until resumed), and
-- `disabled` is 1 while the breaker never trips. What a caller sees as the state is state_of().

-- What this library reads and writes. A later schema is refused, not guessed at.
C.SCHEMA = 1

-- Every field of the hash that is a moment on the store's clock.
C.MOMENTS = {
  'opened_at', 'open_until', 'order_at', 'order_until', 'paused_from', 'paused_until',
  'lease_until', 'shadow_until', 'pushed_until', 'run_until', 'rival_at',
}

-- A number that a caller sent, finite and not negative; else the fallback.
local function number(text, fallback)
  local sent = tonumber(text)
  local is_sound = sent and sent >= 0 and sent < math.huge
  return is_sound and sent or fallback
end

local function num(b, field)
  return tonumber(b.row[field] or 0)
end

local function put(b, field, value)
  if type(value) == 'number' then
    value = string.format('%.0f', value)
  end
  b.row[field] = value
  b.dirty[field] = value
end

local function pace_of(b)
  b.pace = b.pace or pace_read(b.row.pace or '')
  return b.pace
end

local function put_pace(b)
  put(b, 'pace', pace_write(b.pace))
end

-- The pause key rules: a key that an operator set by hand pauses too. Without a TTL it has no end.
local function state_of(b)
  if b.row.order == 'paused' or b.left == -1 then
    return 'forced-open'
  elseif b.left >= 0 or b.row.state == 'open' then
    return 'open'
  elseif b.row.disabled == '1' then
    return 'disabled'
  end
  return b.row.state or 'closed'
end

-- The store's clock went back: every moment moves back with it, so that no pause and no slot
-- lasts longer than it was set for, counted from the last command before the jump.
local function turn_back(b, ms)
  put(b, 'clock', b.now)
  for _, field in ipairs(C.MOMENTS) do
    if num(b, field) > 0 then
      put(b, field, num(b, field) - ms)
    end
  end
  if b.row.pace then
    pace_shift(pace_of(b), -ms)
    put_pace(b)
  end
  if b.left > 0 then
    b.left, b.key = math.max(1, b.left - ms), 'shift'
  end
end

local function begin(keys, argv)
  local b = {
    failures_key = keys[1], pause_key = keys[2], state_key = keys[3], events_key = keys[4],
    seen_key = keys[5] and string.sub(keys[5], -1) ~= ':' and keys[5] or nil, -- '' is no id
    token = argv[1], channel = argv[2], who = argv[3], declares = argv[4],
    row = {}, dirty = {}, steps = {}, now = now_ms(),
  }
  local flat = redis.call('HGETALL', b.state_key)
  for i = 1, #flat, 2 do
    b.row[flat[i]] = flat[i + 1]
  end
  b.count = tonumber(peek(b.failures_key) or 0)
  b.left = left_ms(b.pause_key)
  b.seen = b.seen_key and peek(b.seen_key)
  local ahead = num(b, 'clock') - b.now
  if ahead > 0 then
    turn_back(b, ahead)
  end
  b.was = state_of(b)
  return b
end

local function is_paused(b)
  return b.left ~= -2
end

local function is_paced(b)
  return b.row.recovery == 'pace' and state_of(b) == 'half-open'
end

local function is_ahead(b, field)
  return num(b, field) > b.now
end

-- How long the queue has been paused, ever; a pause whose end was noticed late counts to its end.
local function paused_ms(b)
  local total, from = num(b, 'paused_ms'), num(b, 'paused_from')
  if from == 0 then
    return total
  end
  local till = num(b, 'paused_until')
  return total + math.max(0, (till > 0 and math.min(b.now, till) or b.now) - from)
end

-- The reply to a caller of a state that a newer library wrote; nil if this one can read it.
local function refusal(b)
  local schema = num(b, 'schema')
  if schema > C.SCHEMA then
    return redis.error_reply(string.format(
      'NEWERSCHEMA this breaker has schema %d, this library knows %d: upgrade fleet-breaker',
      schema, C.SCHEMA))
  end
  return nil
end
-- What a breaker tells of itself.

-- Workers may stop sending successes while no error is counted, so the first error of a run is
-- pushed to them all. In milliseconds: at most one such push in this time, or a few per cent of
-- errors would make a storm of pushes.
C.PUSH_EVERY = 1000

-- Milliseconds for which a conflict between two releases' settings is shown after its last sign.
C.RIVAL_SHOWN = 600000

-- Factor: a pace that is held so far below what is allowed by now may go faster.
C.FAR_BELOW = 1.5

-- Jobs per second that the upstream must allow for a held pace to rise; nil if it is not held.
local function held_to(p, now)
  return p.proven > now and pace_rate(p, now) * C.FAR_BELOW or nil
end

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
  if b.row.push_lost ~= '' then
    seen.push_lost = b.row.push_lost
  end
  if is_paced(b) then
    local p = pace_of(b)
    seen.pace, seen.told = as_rate(pace_rate(p, b.now)), as_rate(p.told)
    seen.held = held_to(p, b.now) and as_rate(held_to(p, b.now))
  end
  if b.row.recovery == 'pace' and (seen.state == 'open' or seen.state == 'half-open')
    and pace_of(b).is_new == 1 then
    seen.asks = pace_of(b).round
  end
  return seen
end

-- An order that pauses explains the state before one that disables, and that before a trip.
local function add_reason(b, seen)
  local of = b.row.order == 'paused' and 'order_' or b.row.disabled == '1' and 'disabled_' or ''
  seen.reason, seen.by = b.row[of .. 'reason'], b.row[of .. 'by']
  seen.opened_at = tonumber(b.row[of == 'order_' and 'order_at' or 'opened_at'])
end

local function add_order(b, seen)
  if b.row.order == 'paused' then
    seen.order = 'paused'
    local till = num(b, 'order_until')
    seen.order_left_ms = till > 0 and math.max(0, till - b.now) or nil
  elseif b.row.disabled == '1' then
    seen.order = 'disabled'
  end
  if seen.order == 'paused' and b.row.state == 'open' then
    seen.trip_left_ms = math.max(0, num(b, 'open_until') - b.now)
  end
end

local function add_rival(b, seen)
  if num(b, 'rival_at') > 0 and b.now - num(b, 'rival_at') < C.RIVAL_SHOWN then
    seen.rival, seen.rival_by = b.row.rival, b.row.rival_by
  end
end

local function view(b)
  local seen = brief(b)
  if is_ahead(b, 'pushed_until') then
    seen.untold_for_ms = num(b, 'pushed_until') - b.now
  end
  seen.exists = b.row.incarnation ~= nil
  seen.automaton, seen.disabled = b.row.state or 'closed', b.row.disabled == '1'
  seen.overrides = b.row.overrides
  seen.trips, seen.cuts = num(b, 'trips'), num(b, 'cuts')
  seen.rate_limit_errors = num(b, 'rate_limit_errors')
  seen.paused_ms = paused_ms(b)
  add_reason(b, seen)
  add_order(b, seen)
  add_rival(b, seen)
  if b.row.declared then
    for option in pairs(cjson.decode(b.row.declared)) do
      seen[option] = tonumber(b.row[option]) or b.row[option]
    end
  end
  if seen.state == 'open' or seen.state == 'half-open' or seen.state == 'forced-open' then
    seen.trip_id, seen.kind = b.row.trip_id, b.row.kind
  else
    seen.opened_at = nil
  end
  if seen.state == 'half-open' and is_ahead(b, 'lease_until') then
    seen.lease_left_ms = num(b, 'lease_until') - b.now
  end
  return seen
end
-- How a breaker is written, and what its caller is answered.

-- Entries of the history.
C.EVENTS_KEPT = 1000

-- Milliseconds for which the reply to a report is kept for its repeats.
C.REPLY_KEPT = 60000

-- Milliseconds for which the state of a pause without end is kept: a hundred years.
C.WITHOUT_END = 3.2e12

local function clear_count(b)
  if b.count > 0 or b.added then
    b.count = 0
    b.cleared = true
  end
end

local function write_event(b, step)
  local fields = {}
  for field, value in pairs(step) do
    fields[#fields + 1] = field
    fields[#fields + 1] = type(value) == 'number' and string.format('%.0f', value) or value
  end
  local added = redis.pcall('XADD', b.events_key, 'MAXLEN', '~', C.EVENTS_KEPT, '*', unpack(fields))
  if type(added) == 'table' and added.err then
    b.event_lost = added.err
  end
end

local function push(b)
  local heard = redis.pcall('PUBLISH', b.channel, cjson.encode(view(b)))
  local lost = type(heard) == 'table' and heard.err or nil
  if b.row.incarnation and (lost or '') ~= (b.row.push_lost or '') then
    b.row.push_lost = lost
    redis.call('HSET', b.state_key, 'push_lost', lost or '')
  end
  if b.row.incarnation and not lost and heard ~= num(b, 'listeners') then
    b.row.listeners = heard
    redis.call('HSET', b.state_key, 'listeners', heard)
  end
end

-- Writing the event and publishing the change may fail without failing the script: pausing matters
-- more. The reply reports it.
local function announce(b)
  for _, step in ipairs(b.steps) do
    write_event(b, step)
  end
  push(b)
end

local function write_count(b)
  if b.cleared then
    drop(b.failures_key)
  end
  if b.added and b.count > 0 then
    count_up(b.failures_key, num(b, 'forget_after_ms'))
  end
end

local function write_pause(b)
  if b.key == 'set' then
    local reason = b.row.order == 'paused' and b.row.order_reason or b.row.reason or ''
    keep(b.pause_key, reason, b.left >= 0 and b.left or nil)
  elseif b.key == 'shift' then
    keep_for(b.pause_key, b.left)
  elseif b.key == 'drop' then
    drop(b.pause_key)
  end
end

-- State that no caller used for `idle_ttl` expires, but never before its pause has ended.
local function write_end_of_life(b)
  local ttl = num(b, 'idle_ttl_ms')
  if ttl == 0 or b.who == '' then
    return -- declared by a worker that knows no such option; or only looked at
  end
  local pause = b.left == -1 and C.WITHOUT_END or math.max(0, b.left)
  for _, key in ipairs({b.state_key, b.events_key}) do
    keep_at_least(key, ttl + pause)
  end
end

local function write_state(b)
  if next(b.dirty) then
    put(b, 'version', num(b, 'version') + 1)
    put(b, 'clock', b.now)
    local fields = {}
    for field, value in pairs(b.dirty) do
      fields[#fields + 1] = field
      fields[#fields + 1] = value
    end
    redis.call('HSET', b.state_key, unpack(fields))
  elseif is_paused(b) then
    -- How long a pause has lasted must be known should the clock go back. A store that takes no
    -- writes still answers.
    redis.pcall('HSET', b.state_key, 'clock', string.format('%.0f', b.now))
  end
end

local function is_run_unpushed(b)
  local is_due = not is_ahead(b, 'pushed_until')
  return b.added and num(b, 'pushed_run') ~= num(b, 'run') and is_due
end

local function commit(b)
  if b.row.incarnation == nil then
    return
  end
  write_count(b)
  write_pause(b)
  local is_news = #b.steps > 0 or is_run_unpushed(b)
  if is_news then
    put(b, 'pushed_run', num(b, 'run'))
    put(b, 'pushed_until', b.now + C.PUSH_EVERY)
  end
  -- A new state is pushed too: a view of a lost one must not be trusted any longer.
  is_news = is_news or b.is_news or b.is_new
  if is_news then
    put(b, 'news', num(b, 'news') + 1)
  end
  write_state(b)
  for _, step in ipairs(b.steps) do
    step.version = num(b, 'version')
  end
  if is_news then
    announce(b)
  end
  write_end_of_life(b)
end

-- A store that is full takes no writes, and still answers a reader. What time has changed is then
-- written, and told, by the next caller that finds room.
local function commit_if_room(b)
  local is_written, problem = pcall(commit, b)
  if is_written then
    return
  end
  local said = type(problem) == 'table' and problem.err or tostring(problem)
  if not string.find(said, 'OOM', 1, true) then
    error(problem)
  end
  b.steps = {}
end

-- The reply as JSON: what the script itself has to say, and the transitions that this very call
-- made. Only its caller logs and alerts them.
local function answer(b, said)
  if #b.steps > 0 then
    said.transitions = b.steps
  end
  said.incarnation = b.row.incarnation
  said.event_lost = b.event_lost
  return cjson.encode(said)
end

-- A report or an order applies once. Under its id stands the caller's token, and behind it the
-- reply if it had transitions, else only what it had changed: 10,000 errors a second must not fill
-- the store. The same token (a re-send after a lost reply) gets the same answer again. Another
-- token (the same failure reported from a second place) learns that it came too late.
local function remember(b, said)
  local reply = answer(b, said)
  local changed = said.changed and 'changed' or said.counted and 'counted' or ''
  if not b.seen_key then
    return reply
  end
  keep(b.seen_key, b.token .. (#b.steps > 0 and reply or changed), C.REPLY_KEPT)
  return reply
end
-- The only code that moves a breaker from one state to another. Which steps there are stands in
-- breaker/transitions.py; a test holds every step of every random history to that table.

-- The event of a change that was made: from the state before it to the state after it.
local function step(b, event, more)
  local made = more or {}
  made.event, made.from, made.to = event, b.was, state_of(b)
  made.epoch, made.at, made.incarnation = num(b, 'epoch'), b.now, b.row.incarnation
  made.by = made.by or b.who
  b.was = made.to
  b.steps[#b.steps + 1] = made
end

-- Milliseconds that the automaton and the order still pause, the later end of the two: -1 without
-- end, -2 neither pauses.
local function due_ms(b)
  local left = b.row.state == 'open' and num(b, 'open_until') - b.now or 0
  if b.row.order == 'paused' then
    if num(b, 'order_until') == 0 then
      return -1
    end
    left = math.max(left, num(b, 'order_until') - b.now)
  end
  return left > 0 and left or -2
end

local function note_paused(b)
  put(b, 'paused_ms', paused_ms(b))
  put(b, 'paused_from', 0)
  put(b, 'paused_until', 0)
end

-- The pause key follows the two layers.
local function set_pause(b)
  local due = due_ms(b)
  if due == b.left then
    return
  end
  b.left, b.key = due, due == -2 and 'drop' or 'set'
  if due == -2 then
    return note_paused(b)
  end
  if num(b, 'paused_from') == 0 then
    put(b, 'paused_from', b.now)
  end
  put(b, 'paused_until', due > 0 and b.now + due or 0)
end

local function free_lease(b)
  put(b, 'lease_id', '')
  put(b, 'lease_until', 0)
end

local function explain(b, reason, by)
  put(b, 'reason', reason)
  put(b, 'by', by or b.who)
end

-- The automaton is closed: no trip, no recovery, no count.
local function close(b)
  put(b, 'state', 'closed')
  put(b, 'trip_id', '')
  put(b, 'kind', '')
  put(b, 'results', '')
  clear_count(b)
  put(b, 'reopens', 0)
  free_lease(b)
  set_pause(b)
end
-- What time alone changes; the next caller writes it down.

-- Half-open under `pace` and `probe`; closed under `resume`, and in shadow mode, which guards
-- nothing.
local function recover(b, reason)
  if b.row.recovery == 'resume' or b.row.mode == 'shadow' then
    close(b)
    return step(b, 'closed', {reason = reason, by = ''})
  end
  put(b, 'state', 'half-open')
  if b.row.recovery == 'pace' then
    pace_begin(pace_of(b), b.now)
    put_pace(b)
  else
    clear_count(b)
  end
  step(b, 'half-open', {reason = reason, by = ''})
end

local function forget_order(b)
  put(b, 'order', '')
  put(b, 'order_until', 0)
end

-- An order has ended: what lies under it holds again.
local function end_order(b)
  forget_order(b)
  if b.row.state == 'half-open' and b.row.recovery == 'pace' then
    pace_thaw(pace_of(b), b.now)
    put_pace(b)
  end
  set_pause(b)
  step(b, state_of(b), {reason = "the operator's pause is over", by = ''})
end

local function is_over(b, field)
  return num(b, field) > 0 and not is_ahead(b, field)
end

local function end_recovery(b, reason)
  close(b)
  step(b, 'closed', {reason = reason, by = ''})
end

-- A recovery is over when its pace limits nothing any more, or when no job used it, or no error
-- came, for `forget_after`.
local function settle_recovery(b)
  local forget_after = num(b, 'forget_after_ms')
  if b.row.recovery == 'pace' then
    if pace_is_over(pace_of(b), b.now, forget_after) then
      pace_end(b.pace, b.now)
      put_pace(b)
      end_recovery(b, 'the pace no longer limits the fleet')
    end
  elseif not is_ahead(b, 'lease_until')
    and b.now - math.max(num(b, 'clock'), num(b, 'opened_at')) >= forget_after then
    end_recovery(b, 'no job came while recovering')
  end
end

-- Milliseconds by which the key's end and the fields' may differ: the key is set a moment later.
C.SLACK = 50

-- The pause key's TTL resumes the queue with no process alive; the next caller writes it down.
local function settle_ended_pause(b)
  if num(b, 'paused_from') > 0 then
    note_paused(b)
  end
  local was_ordered = b.row.order == 'paused'
  if was_ordered then
    forget_order(b)
  end
  if b.row.state == 'open' then
    recover(b, was_ordered and "the operator's pause is over" or 'pause over')
  elseif was_ordered then
    end_order(b)
  elseif b.row.state == 'half-open' then
    settle_recovery(b)
  end
end

local function settle(b)
  local due = due_ms(b)
  local was_set = b.row.order == 'paused' or b.row.state == 'open'
  if due == -2 and b.left >= 0 and was_set then
    -- The key goes a moment after both layers have ended.
    b.left, b.key = -2, 'drop'
  end
  if b.left == -2 then
    settle_ended_pause(b)
  elseif b.row.order == 'paused' and is_over(b, 'order_until') then
    end_order(b)
  elseif due > 0 and b.left > due + C.SLACK then
    set_pause(b)
  end
end
-- Settings are the fleet's, not a process's: those that the worker that started last declared,
-- and over them an operator's overrides. Scripts read the merged fields.

-- Declarations that are remembered, so that releases running side by side do not write an event
-- for each worker that starts.
C.DECLARATIONS_KEPT = 5

local function merged_settings(b)
  local merged = cjson.decode(b.row.declared)
  for option, value in pairs(cjson.decode(b.row.overrides or '{}')) do
    merged[option] = value
  end
  return merged
end

-- Ends a trip or a recovery that the new settings do not have. Under an operator's pause nothing
-- changes that a caller sees.
local function abandon(b, reason)
  close(b)
  if state_of(b) ~= b.was then
    step(b, 'closed', {reason = reason})
  end
end

-- A mode or a recovery that changes leaves nothing behind that belonged to the old one.
local function leave_old_mode(b, was_mode, was_recovery, may_end_pause)
  if b.row.mode ~= was_mode then
    put(b, 'shadow_until', 0)
  end
  local is_recovering = b.row.state == 'half-open'
  local is_shadowed = b.row.mode == 'shadow' and (is_recovering or may_end_pause)
  if is_shadowed and b.row.state ~= 'closed' then
    abandon(b, 'shadow mode never pauses')
  elseif is_recovering and b.row.recovery == 'resume' then
    abandon(b, 'recovery=resume has no half-open state')
  elseif is_recovering and b.row.recovery == 'pace' and was_recovery ~= 'pace' then
    pace_begin(pace_of(b), b.now)
    put_pace(b)
  end
end

local function apply_settings(b, may_end_pause)
  local was_mode, was_recovery = b.row.mode, b.row.recovery
  for option, value in pairs(merged_settings(b)) do
    put(b, option, type(value) == 'number' and string.format('%.14g', value) or value)
  end
  leave_old_mode(b, was_mode, was_recovery, may_end_pause)
end

-- Puts a declaration first among those remembered; says whether it was one of them.
local function recall(b)
  local known, kept = cjson.decode(b.row.declarations or '[]'), {b.declares}
  local was_known = false
  for _, one in ipairs(known) do
    if one == b.declares then
      was_known = true
    elseif #kept < C.DECLARATIONS_KEPT then
      kept[#kept + 1] = one
    end
  end
  put(b, 'declarations', cjson.encode(kept))
  return was_known
end

local function changed_options(b)
  local before, changed = cjson.decode(b.row.declared), {}
  for option, value in pairs(cjson.decode(b.declares)) do
    if before[option] ~= value then
      changed[option] = value
    end
  end
  return cjson.encode(changed)
end

-- A starting worker declares all of its settings. A declaration that is heard again after another
-- one shows that two releases run side by side: a conflict, which is shown and not written down.
local function declare(b)
  if b.declares == '' or b.declares == b.row.declared then
    return
  end
  local was_known = recall(b)
  if was_known then
    put(b, 'rival', b.row.declared)
    put(b, 'rival_by', b.row.declared_by or '')
    put(b, 'rival_at', b.now)
  elseif b.row.declared then
    step(b, 'settings', {reason = 'declared by a worker', settings = changed_options(b)})
  end
  put(b, 'declared', b.declares)
  put(b, 'declared_by', b.who)
  apply_settings(b, false)
end

-- Marks the kept reply to an acquire: the permit's own report comes under the same id.
C.SLOT = 'slot '

-- What a repeat of a report or an order is answered; nil if this is not a repeat.
local function repeated(b)
  if not b.seen or b.row.incarnation == nil then
    return nil
  elseif string.sub(b.seen, 1, #C.SLOT) == C.SLOT then
    local own = C.SLOT .. b.token
    return string.sub(b.seen, 1, #own) == own and string.sub(b.seen, #own + 1) or nil
  end
  local is_same = string.sub(b.seen, 1, #b.token) == b.token
  local kept = is_same and string.sub(b.seen, #b.token + 1) or ''
  if string.sub(kept, 1, 1) == '{' then
    commit(b)
    return kept
  end
  settle(b)
  commit(b)
  local said = view(b)
  if is_same then
    said.changed, said.counted, said.tripped = kept == 'changed', kept == 'counted', false
  else
    said.duplicate = true
  end
  return answer(b, said)
end

-- What every script that may write does first. Returns the breaker, and the reply if there is
-- nothing else to do.
local function enter(keys, argv)
  local b = begin(keys, argv)
  local reply = refusal(b) or repeated(b)
  if reply then
    return b, reply
  elseif b.row.declared == nil and b.declares == '' then
    return b, cjson.encode({wanted = 'settings'})
  end
  if b.row.incarnation == nil then
    b.is_new = true
    put(b, 'schema', C.SCHEMA)
    put(b, 'incarnation', b.token)
    put(b, 'state', 'closed')
  end
  settle(b)
  declare(b)
  return b
end

-- What rate limit errors do to the automaton: trip, cut, extend.

-- Opens for `ms`. Every pause is an epoch of its own: results of permits given before it no longer
-- count.
local function open(b, event, ms, more)
  put(b, 'epoch', num(b, 'epoch') + 1)
  put(b, 'state', 'open')
  explain(b, more.reason)
  put(b, 'trip_id', more.trip_id or '')
  put(b, 'kind', more.kind or '')
  put(b, 'opened_at', b.now)
  put(b, 'open_until', b.now + ms)
  put(b, 'pause_ms', ms)
  free_lease(b)
  set_pause(b)
  more.pause_ms = ms
  step(b, event, more)
end

-- Cap on the exponent: 2^30 exceeds any possible max_cooldown / cooldown.
C.MOST_DOUBLINGS = 30

-- What the upstream asked for ages: 300 s said 250 s ago is 50 s.
local function asked_ms(b)
  return math.max(0, num(b, 'run_until') - b.now)
end

-- An explicit Retry-After is taken as it is. Only the breaker's own cooldown doubles with each trip
-- in a row, and an exhausted quota waits at least `quota_pause`.
local function trip_ms(b, kind)
  local asked = asked_ms(b)
  if kind == 'quota' then
    return math.max(asked, num(b, 'quota_pause_ms'))
  elseif asked > 0 then
    return asked
  end
  local cooldown = num(b, 'cooldown_ms') * 2 ^ math.min(C.MOST_DOUBLINGS, num(b, 'reopens'))
  return math.min(num(b, 'max_cooldown_ms'), cooldown)
end

local function trip(b, reason, kind)
  local ms = trip_ms(b, kind)
  local more = {
    reason = reason, trip_id = b.token, errors = b.count, retry_after_ms = asked_ms(b),
    evidence = b.row.run_errors, kind = kind == 'quota' and kind or nil,
  }
  put(b, 'trips', num(b, 'trips') + 1)
  if b.row.mode ~= 'shadow' then
    if b.row.recovery == 'pace' then
      pace_trip(pace_of(b), b.now, ms, b.row.state ~= 'half-open')
      put_pace(b)
    end
    return open(b, 'tripped', ms, more)
  end
  put(b, 'epoch', num(b, 'epoch') + 1)
  explain(b, reason)
  put(b, 'shadow_until', b.now + ms)
  clear_count(b)
  more.pause_ms, more.shadow = ms, 1
  step(b, 'tripped', more)
end

-- Jobs start at a pace without a pause before it, and without a trip.
local function go_paced(b, event, more)
  put(b, 'state', 'half-open')
  explain(b, more.reason)
  step(b, event, more)
end

-- The same as an epoch of its own: errors of jobs that started before it do not count again.
local function hold_back(b, event, more)
  put(b, 'epoch', num(b, 'epoch') + 1)
  go_paced(b, event, more)
end

-- Rates from here on are written without decimals.
C.FOUR_DIGITS = 999.5

-- Three digits tell a person enough; %g alone would say 1.2e+03.
local function as_text(rate)
  return string.format(rate < C.FOUR_DIGITS and '%.3g' or '%.0f', rate)
end

local function cut_reason(b, before)
  local p = pace_of(b)
  if p.misses > 0 then
    return string.format('still limited: %d rate limit errors in a row', b.count)
  end
  local after = as_text(pace_rate(p, p.began))
  return string.format('paced down from %s to %s jobs/s', as_text(before), after)
end

-- An error of a paced job is no trip, since some jobs get through. Every cut is an epoch: the
-- errors of jobs that started before it do not cut again.
local function cut(b)
  local p = pace_of(b)
  local before, ms = pace_rate(p, b.now), asked_ms(b)
  pace_cut(p, b.now, ms)
  put_pace(b)
  put(b, 'cuts', num(b, 'cuts') + 1)
  local more = {
    reason = cut_reason(b, before),
    trip_id = b.row.trip_id, retry_after_ms = ms, evidence = b.row.run_errors,
  }
  if ms > 0 then
    open(b, 'cut', ms, more)
  else
    hold_back(b, 'cut', more)
  end
end

-- The errors in flight at the trip arrive milliseconds later with the same Retry-After: an event
-- is written only if the pause grows by this share of it, or by this many milliseconds.
C.NEWS_SHARE = 0.1
C.NEWS_MS = 1000

local function extend(b, permit_incarnation, ms)
  local is_lost = permit_incarnation ~= '' and permit_incarnation ~= b.row.incarnation
  if is_lost or b.row.mode == 'shadow' then
    return
  end
  ms = math.min(num(b, 'max_cooldown_ms'), ms)
  local news_ms = math.min(C.NEWS_MS, num(b, 'pause_ms') * C.NEWS_SHARE)
  if ms < num(b, 'open_until') - b.now + news_ms then
    return
  end
  put(b, 'pause_ms', ms)
  put(b, 'open_until', b.now + ms)
  set_pause(b)
  step(b, 'extended', {reason = 'Retry-After reaches further', pause_ms = ms})
end
-- A run: the rate limit errors since the last success that counted.

-- Errors that a trip shows as its evidence.
C.EVIDENCE_KEPT = 10

local function decoded(b, field)
  local text = b.row[field]
  return (text and text ~= '') and cjson.decode(text) or {}
end

local function add_worker(b)
  local workers = decoded(b, 'run_workers')
  for _, known in ipairs(workers) do
    if known == b.who then
      return #workers
    end
  end
  if #workers < num(b, 'min_workers') then
    workers[#workers + 1] = b.who
    put(b, 'run_workers', cjson.encode(workers))
  end
  return #workers
end

local function add_evidence(b, error_id, retry_after_ms)
  local errors = decoded(b, 'run_errors')
  if #errors >= C.EVIDENCE_KEPT then
    table.remove(errors, 1)
  end
  errors[#errors + 1] = {
    id = error_id, worker = b.who, at = b.now, retry_after_ms = retry_after_ms,
  }
  put(b, 'run_errors', cjson.encode(errors))
end

-- A Retry-After is a deadline: the latest one of the run holds, whatever a later error says.
local function ask_until(b, retry_after_ms)
  if retry_after_ms > 0 then
    local ms = math.min(retry_after_ms, num(b, 'max_cooldown_ms'))
    put(b, 'run_until', math.max(num(b, 'run_until'), b.now + ms))
  end
end

-- Adds one error to the run and returns from how many workers the run has come (counted up to
-- min_workers).
local function add_to_run(b, error_id, retry_after_ms)
  b.count, b.added = b.count + 1, true
  if b.count == 1 then
    put(b, 'run', num(b, 'run') + 1)
    put(b, 'run_until', 0)
    put(b, 'run_workers', '')
    put(b, 'run_errors', '')
  end
  put(b, 'old_successes', 0)
  ask_until(b, retry_after_ms)
  add_evidence(b, error_id, retry_after_ms)
  return add_worker(b)
end

-- A pace that no trip began holds back only jobs with permits. Errors and successes of callers
-- without permits then count as in closed.
local function is_after_trip(b)
  return (b.row.trip_id or '') ~= ''
end

-- Whether the run has enough errors, from enough workers, for a trip.
local function is_due(b, workers)
  return b.count >= num(b, 'threshold') and workers >= num(b, 'min_workers')
end

local function end_run(b)
  clear_count(b)
  put(b, 'run_errors', '')
  put(b, 'old_successes', 0)
end

-- A success of a job that started before the run began is weak evidence: it takes `threshold` of
-- them since the last error. Returns whether the run has ended.
local function weigh_success(b, permit_run)
  local is_of_run = permit_run == '' or tonumber(permit_run) >= num(b, 'run')
  if not is_of_run then
    put(b, 'old_successes', num(b, 'old_successes') + 1)
  end
  if is_of_run or num(b, 'old_successes') >= num(b, 'threshold') then
    end_run(b)
    return true
  end
  return false
end

-- Whether a result is of the present epoch: permit_epoch is '' for callers without permits. A
-- permit of a lost state has another incarnation, or an epoch that this state does not have yet.
local function is_current(b, permit_incarnation, permit_epoch)
  if permit_epoch == '' then
    return true
  end
  local is_same = permit_incarnation == '' or permit_incarnation == b.row.incarnation
  return is_same and tonumber(permit_epoch) == num(b, 'epoch')
end
-- A mild excess: too many results are rate limit errors, yet a success always comes in between.

-- Seconds: older results do not count.
C.RESULTS_FOR = 10
-- Results: fewer show nothing.
C.FEWEST_RESULTS = 20
-- Results: this many show enough, also if they came in less time.
C.ENOUGH_RESULTS = 60

local function watches_share(b)
  return b.row.recovery == 'pace' and b.row.mode ~= 'shadow' and b.row.disabled ~= '1'
    and num(b, 'pace_from') > 0
end

-- The results of the last seconds, the newest last: the second, its errors and its successes.
local function results_of(b, second)
  local kept = {}
  for at, errors, successes in string.gmatch(b.row.results or '', '(%d+) (%d+) (%d+)') do
    at = tonumber(at)
    if at > second - C.RESULTS_FOR and at <= second then
      kept[#kept + 1] = {at, tonumber(errors), tonumber(successes)}
    end
  end
  return kept
end

local function note_results(b, errors, successes)
  local second = math.floor(b.now / 1000)
  local kept = results_of(b, second)
  local last = kept[#kept]
  if last == nil or last[1] ~= second then
    last = {second, 0, 0}
    kept[#kept + 1] = last
  end
  last[2], last[3] = last[2] + errors, last[3] + successes
  local texts = {}
  for _, one in ipairs(kept) do
    texts[#texts + 1] = string.format('%.0f %.0f %.0f', one[1], one[2], one[3])
  end
  put(b, 'results', table.concat(texts, ' '))
  return kept
end

-- How many of how many results were errors, if these are too many; else nil. Fewer errors than
-- `threshold` are never too many.
local function excess(kept, pace_from, threshold)
  local errors, all = 0, 0
  for i = #kept, 1, -1 do
    errors, all = errors + kept[i][2], all + kept[i][2] + kept[i][3]
    local is_enough = all >= C.ENOUGH_RESULTS or i == 1 and all >= C.FEWEST_RESULTS
    if is_enough and errors >= threshold and errors >= pace_from * all then
      return errors, all
    end
  end
  return nil
end

local function delivered(kept)
  local successes = 0
  for _, one in ipairs(kept) do
    successes = successes + one[3]
  end
  return successes / C.RESULTS_FOR
end

-- An error in closed that does not trip: begins a pace if too many results are errors. Errors in a
-- row are counted towards a trip instead.
local function weigh_share(b, successes)
  if not watches_share(b) then
    return
  end
  local kept = note_results(b, 1, successes)
  local errors, all = excess(kept, num(b, 'pace_from'), num(b, 'threshold'))
  if errors == nil or b.count > 1 then
    return
  end
  local reason = string.format('%.0f of the last %.0f results were rate limit errors', errors, all)
  local more = {reason = reason, errors = errors, evidence = b.row.run_errors}
  pace_start(pace_of(b), b.now, delivered(kept))
  put_pace(b)
  put(b, 'results', '')
  put(b, 'trip_id', '')
  put(b, 'opened_at', b.now)
  end_run(b)
  hold_back(b, 'paced', more)
end

-- Successes count while there are errors to hold them against.
local function note_successes(b, successes)
  if not watches_share(b) or (b.row.results or '') == '' then
    return
  end
  local errors = 0
  for _, one in ipairs(results_of(b, math.floor(b.now / 1000))) do
    errors = errors + one[2]
  end
  if errors > 0 then
    note_results(b, 0, successes)
  else
    put(b, 'results', '')
  end
end

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
