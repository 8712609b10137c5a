-- enable: an operator re-enables a disabled breaker. A pause over it goes on.
-- KEYS  failures pause state events seen
-- ARGV  token channel who declares reason
-- reply changed transitions + the view of snapshot
-- @include order

local reason = ARGV[5]

return order(KEYS, ARGV, function(b)
  if b.row.disabled == '1' then
    put(b, 'disabled', '')
    clear_count(b)
    step(b, 'enabled', {reason = reason})
  end
end)
