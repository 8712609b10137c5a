-- @include commit
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
