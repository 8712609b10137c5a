-- pause: an operator stops the queue, for so long or until resumed.
-- KEYS  failures pause state events seen
-- ARGV  token channel who settings declares reason pause_ms
-- reply changed transitions + the view of snapshot
-- @include settings

local b = begin(KEYS, ARGV)
local before = repeated(b)
if before then
  return before
end
prepare(b)
local reason, ms = ARGV[6], tonumber(ARGV[7])
open(b, 'paused', 'forced-open', ms > 0 and ms or nil, {reason = reason})
commit(b)

local said = view(b)
said.changed = #b.steps > 0
return remember(b, answer(b, said))
