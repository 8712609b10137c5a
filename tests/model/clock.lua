-- The tests' own time: `test:now` is what the store's clock says, `test:ttl` holds deadlines.
-- As in a store, what has expired is gone for good, also if the clock jumps back later.

local C = {}

local function now_ms()
  local now = tonumber(redis.call('GET', 'test:now'))
  for _, key in ipairs(redis.call('ZRANGEBYSCORE', 'test:ttl', '-inf', now)) do
    redis.call('DEL', key)
    redis.call('ZREM', 'test:ttl', key)
  end
  return now
end

local function keep_for(key, ms)
  redis.call('ZADD', 'test:ttl', string.format('%.0f', now_ms() + ms), key)
end

local function keep_at_least(key, ms)
  keep_for(key, ms)
end

local function peek(key)
  return redis.call('GET', key)
end

local function left_ms(key)
  if redis.call('EXISTS', key) == 0 then
    return -2
  end
  local deadline = redis.call('ZSCORE', 'test:ttl', key)
  return deadline and tonumber(deadline) - now_ms() or -1
end

local function keep(key, value, ms)
  redis.call('SET', key, value)
  if ms then
    keep_for(key, ms)
  else
    redis.call('ZREM', 'test:ttl', key)
  end
end

local function count_up(key, ms)
  redis.call('INCR', key)
  keep_for(key, ms)
end

local function drop(key)
  redis.call('DEL', key)
  redis.call('ZREM', 'test:ttl', key)
end
