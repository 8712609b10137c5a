-- disable: an operator disables the breaker: it never pauses the queue. Errors still count.
-- KEYS  failures pause state events seen
-- ARGV  token channel who declares reason
-- reply changed transitions + the view of snapshot
-- @include order

local reason = ARGV[5]

return order(KEYS, ARGV, function(b)
  local more = {reason = reason, replaces = replaced(b)}
  put(b, 'disabled', '1')
  put(b, 'disabled_reason', reason)
  put(b, 'disabled_by', b.who)
  lift(b)
  step(b, 'disabled', more)
end)
