-- pause: an operator stops the queue, for a time or until resumed. A trip under it goes on.
-- KEYS  failures pause state events seen
-- ARGV  token channel who declares reason pause_ms
-- reply changed transitions + the view of snapshot
-- @include order

local reason, ms = ARGV[5], number(ARGV[6])
if ms == nil then
  return redis.error_reply('BADARGUMENT pause_ms must be milliseconds from 0 (0: until resumed)')
end

return order(KEYS, ARGV, function(b)
  local more = {reason = reason, pause_ms = ms > 0 and ms or nil, replaces = replaced(b)}
  put(b, 'epoch', num(b, 'epoch') + 1)
  put(b, 'order', 'paused')
  put(b, 'order_reason', reason)
  put(b, 'order_by', b.who)
  put(b, 'order_at', b.now)
  put(b, 'order_until', ms > 0 and b.now + ms or 0)
  set_pause(b)
  step(b, 'paused', more)
end)
