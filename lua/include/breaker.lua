-- @include clock
-- The breaker as a script sees it: read whole by begin(), changed in memory, written whole by
-- commit(). Reading before writing means that a key of a wrong type fails a script before it
-- has changed anything.

local EVENTS_KEPT = 1000
local REPLY_KEPT_MS = 60000

local function begin(keys, argv)
  local b = {
    failures_key = keys[1], pause_key = keys[2], state_key = keys[3], events_key = keys[4],
    seen_key = keys[5],
    token = argv[1], channel = argv[2], who = argv[3], settings = argv[4], declares = argv[5],
    row = {}, dirty = {}, steps = {}, now = now_ms(),
  }
  local flat = redis.call('HGETALL', b.state_key)
  for i = 1, #flat, 2 do
    b.row[flat[i]] = flat[i + 1]
  end
  b.count = tonumber(peek(b.failures_key) or 0)
  b.left = left_ms(b.pause_key)
  b.seen = b.seen_key and peek(b.seen_key)
  return b
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

-- The pause key rules over the hash: it exists = paused, it has no TTL = forced open, also when
-- somebody set it by hand.
local function state_of(b)
  local stored = b.row.state or 'closed'
  if b.left == -1 then
    return 'forced-open'
  elseif b.left >= 0 and stored ~= 'forced-open' then
    return 'open'
  end
  return stored
end

local function is_paused(b)
  return b.left ~= -2
end

-- A deadline further away than its own length was set before the clock jumped back: it is over.
local function is_ahead(b, field, length_ms)
  local left = num(b, field) - b.now
  return left > 0 and left <= length_ms
end

local function paused_ms(b)
  local stored = b.row.state
  local total = num(b, 'paused_ms')
  if stored ~= 'open' and stored ~= 'forced-open' then
    return total
  end
  local till = b.now
  if num(b, 'open_until') > 0 then
    till = math.min(till, num(b, 'open_until'))
  end
  return total + math.max(0, till - num(b, 'opened_at'))
end

local function clear_count(b)
  if b.count > 0 or b.added then
    b.count = 0
    b.cleared = true
  end
end

-- Workers may stop sending successes as long as nobody counts errors, so the first error of a run
-- is pushed to them all; at most one such push a second, or a few per cent of errors would make a
-- storm of them.
local TELL_EVERY_MS = 1000

-- What a worker needs to know to go on without asking.
local function brief(b)
  return {
    incarnation = b.row.incarnation, version = num(b, 'version'),
    state = state_of(b), paused = is_paused(b), epoch = num(b, 'epoch'), run = num(b, 'run'),
    count = b.count, resumes_in_ms = b.left >= 0 and b.left or nil,
  }
end

local function view(b)
  local seen = brief(b)
  if is_ahead(b, 'told_until', TELL_EVERY_MS) then
    seen.untold_for_ms = num(b, 'told_until') - b.now
  end
  local state = seen.state
  seen.exists = b.row.incarnation ~= nil
  seen.reason, seen.by, seen.overrides = b.row.reason, b.row.by, b.row.overrides
  seen.trips, seen.rate_limit_errors = num(b, 'trips'), num(b, 'rate_limit_errors')
  seen.paused_ms = paused_ms(b)
  seen.recovery, seen.mode = b.row.recovery, b.row.mode
  for _, option in ipairs({'threshold', 'cooldown_ms', 'max_cooldown_ms', 'min_workers',
    'forget_after_ms', 'probe_lease_ms'}) do
    seen[option] = tonumber(b.row[option])
  end
  if state == 'open' or state == 'forced-open' or state == 'half-open' then
    seen.opened_at = tonumber(b.row.opened_at)
    seen.trip_id = b.row.trip_id
  end
  if state == 'half-open' and is_ahead(b, 'lease_until', num(b, 'probe_lease_ms')) then
    seen.lease_left_ms = num(b, 'lease_until') - b.now
  end
  return seen
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
  if type(told) == 'table' and told.err then
    b.push_lost = told.err
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
  -- A state that is new is told too: a view of a lost one must not be believed any longer.
  if is_news or b.is_new then
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
