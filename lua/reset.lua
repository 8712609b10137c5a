-- reset: an operator starts afresh: closed, nothing counted, no back-off. Totals and settings stay.
-- KEYS  failures pause state events seen
-- ARGV  token channel who settings declares reason
-- reply changed transitions + the view of snapshot
-- @include settings

local b = begin(KEYS, ARGV)
local before = repeated(b)
if before then
  return before
end
prepare(b)
end_pause(b, 'reset', 'closed', {reason = ARGV[6]})
put(b, 'shadow_until', 0)
commit(b)

local said = view(b)
said.changed = #b.steps > 0
return remember(b, answer(b, said))
