-- @include clock
-- The entries of a history that a channel has not been told.

-- Entries that may be under way at once.
C.MOST_PENDING = 100

-- All takers are one consumer: a name for each worker would stay in the group for ever.
C.CONSUMER = 'courier'

local function as_entry(found, deliveries)
  local fields = {}
  for at = 1, #found[2], 2 do
    fields[found[2][at]] = found[2][at + 1]
  end
  return {id = found[1], deliveries = deliveries, fields = fields}
end

-- The entries that are under way; a group that is new begins `since` milliseconds ago.
local function under_way(events, group, since)
  local known = redis.pcall('XPENDING', events, group, '-', '+', C.MOST_PENDING)
  if not known.err then
    return known
  elseif not string.find(known.err, 'NOGROUP', 1, true) then
    return redis.call('XPENDING', events, group, '-', '+', C.MOST_PENDING) -- says what is wrong
  end
  redis.call('XGROUP', 'CREATE', events, group, string.format('%.0f-0', now_ms() - since))
  return {}
end

-- Takes an entry over. One that is no longer in the history is done.
local function take_over(events, group, lease, id, deliveries)
  local found = redis.call('XCLAIM', events, group, C.CONSUMER, lease, id)
  if found[1] then
    return as_entry(found[1], deliveries + 1)
  end
  redis.call('XACK', events, group, id)
end

-- Takes up to `count` entries that no worker has taken yet.
local function take_new(events, group, count, taken)
  local from = {'GROUP', group, C.CONSUMER, 'COUNT', count, 'STREAMS', events, '>'}
  local read = redis.call('XREADGROUP', unpack(from))
  for _, found in ipairs(read and read[1] and read[1][2] or {}) do
    taken[#taken + 1] = as_entry(found, 1)
  end
end
