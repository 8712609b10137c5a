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
