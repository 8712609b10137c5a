-- @include view
-- How a breaker is written, and what its caller is answered.

local EVENTS_KEPT = 1000
local REPLY_KEPT_MS = 60000

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
  local added = redis.pcall('XADD', b.events_key, 'MAXLEN', '~', EVENTS_KEPT, '*', unpack(fields))
  if type(added) == 'table' and added.err then
    b.event_lost = added.err
  end
end

-- A pause must not fail for want of a history or a listener, so events and the push may be lost;
-- the reply says so.
local function announce(b)
  for _, step in ipairs(b.steps) do
    write_event(b, step)
  end
  local told = redis.pcall('PUBLISH', b.channel, cjson.encode(view(b)))
  if type(told) == 'table' then
    b.push_lost = told.err
  elseif told ~= num(b, 'listeners') then
    b.row.listeners = told
    redis.call('HSET', b.state_key, 'listeners', told)
  end
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
  if b.pause == 'set' then
    keep(b.pause_key, b.row.reason, b.left >= 0 and b.left or nil)
  elseif b.pause == 'shift' then
    keep_for(b.pause_key, b.left)
  elseif b.pause == 'drop' then
    drop(b.pause_key)
  end
end

local function is_run_untold(b)
  local is_due = not is_ahead(b, 'told_until', TELL_EVERY_MS)
  return b.added and num(b, 'told_run') ~= num(b, 'run') and is_due
end

local function commit(b)
  write_count(b)
  write_pause(b)
  local is_news = #b.steps > 0 or is_run_untold(b)
  if is_news then
    put(b, 'told_run', num(b, 'run'))
    put(b, 'told_until', b.now + TELL_EVERY_MS)
  end
  -- A state that is new is told too: a view of a lost one must not be believed any longer.
  is_news = is_news or b.is_news or b.is_new
  if is_news then
    put(b, 'news', num(b, 'news') + 1)
  end
  if next(b.dirty) then
    put(b, 'version', num(b, 'version') + 1)
    local fields = {}
    for field, value in pairs(b.dirty) do
      fields[#fields + 1] = field
      fields[#fields + 1] = value
    end
    redis.call('HSET', b.state_key, unpack(fields))
  end
  for _, step in ipairs(b.steps) do
    step.version = num(b, 'version')
  end
  if is_news then
    announce(b)
  end
end

-- The reply as JSON: what the script itself has to say, and the transitions that this very call
-- made, which its caller and nobody else logs and alerts.
local function answer(b, said)
  if #b.steps > 0 then
    said.transitions = b.steps
  end
  said.incarnation = b.row.incarnation
  said.event_lost = b.event_lost
  said.push_lost = b.push_lost
  return cjson.encode(said)
end

-- A report or an order applies once. Its reply is stored under its id together with the caller's
-- token: the same token (a re-send after a lost reply) gets that reply again, another token
-- (the same failure reported from a second place) learns that it came too late.
local function remember(b, reply)
  keep(b.seen_key, b.token .. reply, REPLY_KEPT_MS)
  return reply
end
