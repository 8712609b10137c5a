-- forget: an operator ends a breaker's life: its keys go. The client takes its name off the list.
-- KEYS  failures pause state events
-- ARGV  token channel who declares
-- reply changed + the view of a breaker that does not exist
-- @include settle

local b = begin(KEYS, ARGV)
local reply = refusal(b)
if reply then
  return reply
end
local existed = b.row.incarnation ~= nil or is_paused(b)
for _, key in ipairs({b.failures_key, b.pause_key, b.state_key, b.events_key}) do
  drop(key)
end
b.row, b.count, b.left = {}, 0, -2
if existed then
  push(b)
end

local said = view(b)
said.changed = existed
return answer(b, said)
