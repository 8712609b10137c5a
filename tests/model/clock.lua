-- The tests' own time: `test:now` is what the store's clock says, `test:ttl` holds deadlines.

local function now_ms()
  return tonumber(redis.call('GET', 'test:now'))
end

local function forget_if_over(key)
  local deadline = redis.call('HGET', 'test:ttl', key)
  if deadline and tonumber(deadline) <= now_ms() then
    redis.call('DEL', key)
    redis.call('HDEL', 'test:ttl', key)
  end
end

local function keep_for(key, ms)
  redis.call('HSET', 'test:ttl', key, string.format('%.0f', now_ms() + ms))
end

local function peek(key)
  forget_if_over(key)
  return redis.call('GET', key)
end

local function left_ms(key)
  forget_if_over(key)
  if redis.call('EXISTS', key) == 0 then
    return -2
  end
  local deadline = redis.call('HGET', 'test:ttl', key)
  return deadline and tonumber(deadline) - now_ms() or -1
end

local function keep(key, value, ms)
  redis.call('SET', key, value)
  if ms then
    keep_for(key, ms)
  else
    redis.call('HDEL', 'test:ttl', key)
  end
end

local function count_up(key, ms)
  forget_if_over(key)
  redis.call('INCR', key)
  keep_for(key, ms)
end

local function drop(key)
  redis.call('DEL', key)
  redis.call('HDEL', 'test:ttl', key)
end
