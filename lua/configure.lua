-- configure: an operator sets options for the whole fleet, over what the workers declare.
-- KEYS  failures pause state events seen
-- ARGV  token channel who settings declares changes
-- `changes` is a JSON object; null takes an option back to what the workers declare.
-- reply changed transitions + the view of snapshot
-- @include settings

local b = begin(KEYS, ARGV)
local before = repeated(b)
if before then
  return before
end
prepare(b)
local overrides = cjson.decode(b.row.overrides or '{}')
for option, value in pairs(cjson.decode(ARGV[6])) do
  overrides[option] = value ~= cjson.null and value or nil
end
put(b, 'overrides', cjson.encode(overrides))
step(b, 'settings', b.row.state, {reason = 'set by an operator', settings = ARGV[6]})
apply_settings(b)
commit(b)

local said = view(b)
said.changed = #b.steps > 0
return remember(b, answer(b, said))
