-- disable: an operator lets the queue run whatever the upstream says; errors still count.
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
end_pause(b, 'disabled', 'disabled', {reason = ARGV[6]})
put(b, 'reason', ARGV[6])
put(b, 'by', b.who)
commit(b)

local said = view(b)
said.changed = #b.steps > 0
return remember(b, answer(b, said))
