-- resume: an operator ends a pause or a recovery.
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
if is_paused(b) or b.row.state == 'half-open' then
  end_pause(b, 'resumed', 'closed', {reason = ARGV[6]})
end
commit(b)

local said = view(b)
said.changed = #b.steps > 0
return remember(b, answer(b, said))
