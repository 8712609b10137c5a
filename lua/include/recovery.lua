-- @include run
-- Half-open: who may go, by the recovery that is set.

local function take_probe(b)
  if b.row.lease_id == b.token then
    return true
  elseif is_ahead(b, 'lease_until') then
    return false, num(b, 'lease_until') - b.now
  end
  put(b, 'lease_id', b.token)
  put(b, 'lease_until', b.now + num(b, 'probe_lease_ms'))
  return true
end

local function take_slot(b, patience_ms, in_turn)
  local p = pace_of(b)
  local granted, wait = pace_take(p, b.now, patience_ms, in_turn)
  b.is_news = b.is_news or pace_has_risen(p, b.now)
  put_pace(b)
  return granted, math.ceil(wait), not granted and wait < LONGEST_WAIT
end

-- The first success of an epoch starts the rise. Returns whether this was it.
local function prove_pace(b)
  local is_first = pace_prove(pace_of(b), b.now)
  if is_first then
    clear_count(b)
  end
  put_pace(b)
  return is_first
end

-- A pace that holds nobody back guards nothing.
local function close_if_calm(b)
  local is_calm = pace_is_calm(pace_of(b), b.now)
  put_pace(b)
  if is_calm then
    close(b)
    step(b, 'closed', {reason = 'the pace holds no job back any more'})
  end
end
