-- @include settle
-- Settings are the fleet's, not a process's: those that the worker that started last declared,
-- and over them an operator's overrides. Scripts read the merged fields.

-- Declarations that are remembered, so that releases running side by side do not write an event
-- for each worker that starts.
C.DECLARATIONS_KEPT = 5

local function merged_settings(b)
  local merged = cjson.decode(b.row.declared)
  for option, value in pairs(cjson.decode(b.row.overrides or '{}')) do
    merged[option] = value
  end
  return merged
end

-- Ends a trip or a recovery that the new settings do not have. Under an operator's pause nothing
-- changes that a caller sees.
local function abandon(b, reason)
  close(b)
  if state_of(b) ~= b.was then
    step(b, 'closed', {reason = reason})
  end
end

-- A mode or a recovery that changes leaves nothing behind that belonged to the old one.
local function leave_old_mode(b, was_mode, was_recovery, may_end_pause)
  if b.row.mode ~= was_mode then
    put(b, 'shadow_until', 0)
  end
  local is_recovering = b.row.state == 'half-open'
  local is_shadowed = b.row.mode == 'shadow' and (is_recovering or may_end_pause)
  if is_shadowed and b.row.state ~= 'closed' then
    abandon(b, 'shadow mode never pauses')
  elseif is_recovering and b.row.recovery == 'resume' then
    abandon(b, 'recovery=resume has no half-open state')
  elseif is_recovering and b.row.recovery == 'pace' and was_recovery ~= 'pace' then
    pace_begin(pace_of(b), b.now)
    put_pace(b)
  end
end

local function apply_settings(b, may_end_pause)
  local was_mode, was_recovery = b.row.mode, b.row.recovery
  for option, value in pairs(merged_settings(b)) do
    put(b, option, type(value) == 'number' and string.format('%.14g', value) or value)
  end
  leave_old_mode(b, was_mode, was_recovery, may_end_pause)
end

-- Puts a declaration first among those remembered; says whether it was one of them.
local function recall(b)
  local known, kept = cjson.decode(b.row.declarations or '[]'), {b.declares}
  local was_known = false
  for _, one in ipairs(known) do
    if one == b.declares then
      was_known = true
    elseif #kept < C.DECLARATIONS_KEPT then
      kept[#kept + 1] = one
    end
  end
  put(b, 'declarations', cjson.encode(kept))
  return was_known
end

local function changed_options(b)
  local before, changed = cjson.decode(b.row.declared), {}
  for option, value in pairs(cjson.decode(b.declares)) do
    if before[option] ~= value then
      changed[option] = value
    end
  end
  return cjson.encode(changed)
end

-- A starting worker declares all of its settings. A declaration that is heard again after another
-- one shows that two releases run side by side: a conflict, which is shown and not written down.
local function declare(b)
  if b.declares == '' or b.declares == b.row.declared then
    return
  end
  local was_known = recall(b)
  if was_known then
    put(b, 'rival', b.row.declared)
    put(b, 'rival_by', b.row.declared_by or '')
    put(b, 'rival_at', b.now)
  elseif b.row.declared then
    step(b, 'settings', {reason = 'declared by a worker', settings = changed_options(b)})
  end
  put(b, 'declared', b.declares)
  put(b, 'declared_by', b.who)
  apply_settings(b, false)
end

-- Marks the kept reply to an acquire: the permit's own report comes under the same id.
C.SLOT = 'slot '

-- What a repeat of a report or an order is answered; nil if this is not a repeat.
local function repeated(b)
  if not b.seen or b.row.incarnation == nil then
    return nil
  elseif string.sub(b.seen, 1, #C.SLOT) == C.SLOT then
    local own = C.SLOT .. b.token
    return string.sub(b.seen, 1, #own) == own and string.sub(b.seen, #own + 1) or nil
  end
  local is_same = string.sub(b.seen, 1, #b.token) == b.token
  local kept = is_same and string.sub(b.seen, #b.token + 1) or ''
  if string.sub(kept, 1, 1) == '{' then
    commit(b)
    return kept
  end
  settle(b)
  commit(b)
  local said = view(b)
  if is_same then
    said.changed, said.counted, said.tripped = kept == 'changed', kept == 'counted', false
  else
    said.duplicate = true
  end
  return answer(b, said)
end

-- What every script that may write does first. Returns the breaker, and the reply if there is
-- nothing else to do.
local function enter(keys, argv)
  local b = begin(keys, argv)
  local reply = refusal(b) or repeated(b)
  if reply then
    return b, reply
  elseif b.row.declared == nil and b.declares == '' then
    return b, cjson.encode({wanted = 'settings'})
  end
  if b.row.incarnation == nil then
    b.is_new = true
    put(b, 'schema', C.SCHEMA)
    put(b, 'incarnation', b.token)
    put(b, 'state', 'closed')
  end
  settle(b)
  declare(b)
  return b
end
