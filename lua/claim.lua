-- claim: a worker takes the entries of the history that it is to tell to one alert channel.
-- KEYS  events hold
-- ARGV  group lease_ms since_ms count
-- reply entries again_ms
-- group is the channel's consumer group. An entry belongs to its taker for lease_ms; one that was
-- not acknowledged by then is taken by the next caller. A new group begins since_ms ago. While the
-- key hold exists the channel is left alone: its other end failed, or said when to come back.
-- @include outbox

local events, hold = KEYS[1], KEYS[2]
local group, lease, since, count = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])

local function answer(entries, again)
  return cjson.encode({entries = entries, again_ms = again})
end

if redis.call('EXISTS', events) == 0 then
  return answer({}, -1)
end
local held = left_ms(hold)
if held > 0 then
  return answer({}, held)
end
local known = under_way(events, group, since)
local taken, again = {}, -1
for _, one in ipairs(known) do
  local id, idle, deliveries = one[1], one[3], one[4]
  if idle < lease then
    again = again < 0 and lease - idle or math.min(again, lease - idle)
  elseif #taken < count then
    taken[#taken + 1] = take_over(events, group, lease, id, deliveries)
  else
    again = 0
  end
end
if #taken < count and #known < C.MOST_PENDING then
  take_new(events, group, count - #taken, taken)
end
return answer(taken, again)
