-- @include clock
-- @include cut
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
