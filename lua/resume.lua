-- resume: an operator ends a pause or a recovery, whatever made it.
-- KEYS  failures pause state events seen
-- ARGV  token channel who declares reason
-- reply changed transitions + the view of snapshot
-- @include order

local reason = ARGV[5]

return order(KEYS, ARGV, function(b)
  if is_paused(b) or b.row.state == 'half-open' then
    lift(b)
    step(b, 'resumed', {reason = reason})
  end
end)
