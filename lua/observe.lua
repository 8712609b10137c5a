-- observe: the upstream's headers tell how much is left. Slows the fleet down before it is refused.
-- KEYS  failures pause state events seen
-- ARGV  token channel who declares left limit resets_in_ms
-- reply changed transitions + the brief view
-- left calls may be made within resets_in_ms; limit is all of a window, 0 if it is not known.
-- @include run

-- Until the window is over, what is left is spread over it; then on to what was used of it in that
-- time, which is the rate at which a bucket fills.
local function slow_down_early(b, left, limit, resets_in_ms)
  local p = pace_of(b)
  local low = math.max(left, 1) * 1000 / resets_in_ms
  if is_paced(b) and pace_rate(p, b.now) <= 1.1 * low then
    return false
  end
  pace_hold(p, b.now, low, math.max(low, (limit - left) * 1000 / resets_in_ms), resets_in_ms)
  put_pace(b)
  put(b, 'opened_at', b.now)
  local reason = string.format('%.0f calls left for %.0f s', left, resets_in_ms / 1000)
  hold_back(b, 'paced', {reason = reason})
  clear_count(b)
  return true
end

local b, reply = enter(KEYS, ARGV)
if reply then
  return reply
end
local left, limit, resets_in_ms = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])

local changed = false
if b.row.recovery == 'pace' and b.row.mode ~= 'shadow' and b.row.disabled ~= '1'
  and not is_paused(b) then
  changed = slow_down_early(b, left, limit, resets_in_ms)
end
commit(b)

local said = brief(b)
said.changed = changed
return changed and remember(b, said) or answer(b, said)
