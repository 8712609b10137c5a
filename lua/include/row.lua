-- @include clock
-- @include cut
-- The breaker as a script sees it: read whole by begin(), changed in memory, written whole by
-- commit(). Reading before writing means that a key of a wrong type fails a script before it
-- has changed anything.

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

local function pace_of(b)
  b.pace = b.pace or pace_read(b.row.pace or '')
  return b.pace
end

local function put_pace(b)
  put(b, 'pace', pace_write(b.pace))
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

local function is_paced(b)
  return b.row.recovery == 'pace' and state_of(b) == 'half-open'
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

