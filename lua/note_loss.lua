-- note_loss: a worker found that the store lost the state it knew. Writes that into the history.
-- KEYS  state events seen
-- ARGV  reason who
-- reply noted
-- seen is seen:lost- and what the worker found, so that a fleet writes it once.
-- @include commit

local state_key, events_key, seen_key = KEYS[1], KEYS[2], KEYS[3]
local found = redis.call('HMGET', state_key, 'incarnation', 'version', 'epoch')
if peek(seen_key) or not found[1] then
  return cjson.encode({noted = false}) -- noted already, or forgotten
end
keep(seen_key, '1', C.REPLY_KEPT)
write_event({events_key = events_key}, {
  event = 'state-lost', from = '', to = '', at = now_ms(), reason = ARGV[1], by = ARGV[2],
  incarnation = found[1], version = found[2] or '0', epoch = found[3] or '0',
})
return cjson.encode({noted = true})
