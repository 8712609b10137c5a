-- reset: an operator starts afresh: closed, nothing counted, no back-off. Totals and settings stay.
-- KEYS  failures pause state events seen
-- ARGV  token channel who declares reason
-- reply changed transitions + the view of snapshot
-- @include order

local reason = ARGV[5]

return order(KEYS, ARGV, function(b)
  local more = {reason = reason, replaces = replaced(b)}
  put(b, 'disabled', '')
  put(b, 'shadow_until', 0)
  lift(b)
  step(b, 'reset', more)
end)
