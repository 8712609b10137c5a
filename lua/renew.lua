-- renew: a worker keeps entries that it has claimed for another lease, while it sends them.
-- KEYS  events
-- ARGV  group ids
-- reply renewed
-- ids is a JSON list. The number of deliveries stays.
-- @include outbox

local events, group, ids = KEYS[1], ARGV[1], cjson.decode(ARGV[2])
ids[#ids + 1] = 'JUSTID'
local kept = redis.call('XCLAIM', events, group, C.CONSUMER, 0, unpack(ids))
return cjson.encode({renewed = #kept})
