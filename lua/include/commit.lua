-- @include view
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
