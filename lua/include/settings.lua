-- @include transition
-- Settings are the fleet's, not a process's: what its workers declare, and over that what an
-- operator has set. Scripts read the merged fields.

local function apply_settings(b)
  local merged = cjson.decode(b.row.declared)
  for option, value in pairs(cjson.decode(b.row.overrides or '{}')) do
    merged[option] = value
  end
  local was_paced = b.row.recovery == 'pace'
  for option, value in pairs(merged) do
    put(b, option, value)
  end
  if is_paced(b) and not was_paced then
    pace_begin(pace_of(b), b.now)
    put_pace(b)
  end
  if b.row.mode == 'shadow' and (b.row.state == 'open' or b.row.state == 'half-open') then
    end_pause(b, 'closed', 'closed', {reason = 'shadow mode never pauses'})
  end
end

-- What a worker's code says counts once per process and overrules what another one said before;
-- the rest of its settings only fills in where nobody has said anything yet.
local function declare(b)
  local declared = cjson.decode(b.row.declared or b.settings)
  local is_news = b.row.declared == nil
  if b.declares ~= '' then
    for option, value in pairs(cjson.decode(b.declares)) do
      is_news = is_news or declared[option] ~= value
      declared[option] = value
    end
  end
  if is_news then
    if b.row.declared then
      local more = {reason = 'declared by a worker', settings = b.declares}
      step(b, 'settings', b.row.state, more)
    end
    put(b, 'declared', cjson.encode(declared))
    apply_settings(b)
  end
end

-- What every script that may write does first.
local function prepare(b)
  if b.row.incarnation == nil then
    b.is_new = true
    put(b, 'schema', 1)
    put(b, 'incarnation', b.token)
    put(b, 'state', 'closed')
  end
  settle(b)
  declare(b)
end
