-- configure: an operator sets options for the whole fleet, over what the workers declare.
-- KEYS  failures pause state events seen
-- ARGV  token channel who declares changes
-- `changes` is a JSON object; null takes an option back to what the workers declare.
-- reply changed transitions + the view of snapshot
-- @include order

local changes = ARGV[5]

return order(KEYS, ARGV, function(b)
  local overrides = cjson.decode(b.row.overrides or '{}')
  for option, value in pairs(cjson.decode(changes)) do
    overrides[option] = value ~= cjson.null and value or nil
  end
  put(b, 'overrides', cjson.encode(overrides))
  step(b, 'settings', {reason = 'set by an operator', settings = changes})
  apply_settings(b, true)
end)
