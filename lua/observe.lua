-- observe: the upstream's headers say how much is left. Slows the fleet down before it is refused.
-- KEYS  failures pause state events seen
-- ARGV  token channel who declares left limit resets_in_ms refill
-- reply changed transitions + the brief view
-- left calls may be made within resets_in_ms; limit is all of a window, 0 if it is not known.
-- refill is how many calls a second go on being allowed where resets_in_ms says when a bucket is
-- full again, 0 where it says when a window ends.
-- @include headers

local b, reply = enter(KEYS, ARGV)
if reply then
  return reply
end
local left, limit, resets_in_ms = number(ARGV[5], 0), number(ARGV[6], 0), number(ARGV[7], 0)
local low, top = allowed_rates(left, limit, resets_in_ms, number(ARGV[8], 0))

local changed = false
if resets_in_ms == 0 then
  changed = false -- the headers say nothing
elseif is_paced(b) then
  changed = adjust(b, low, top, resets_in_ms)
elseif b.row.recovery == 'pace' and b.row.mode ~= 'shadow' and state_of(b) == 'closed' then
  local reason = string.format('%.0f calls left for %.0f s', left, resets_in_ms / 1000)
  changed = begin_pace(b, low, top, resets_in_ms, reason)
end
commit(b)

local said = brief(b)
said.changed = changed
return changed and remember(b, said) or answer(b, said)
