-- @include run
-- Half-open: which job may go, by the recovery that is set.

-- Units of the allowance that a job takes.
C.COST = 1
-- Milliseconds for which the reply to an acquire is kept for its repeat.
C.SLOT_KEPT = 10000

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

local function take_slot(b, patience_ms, turn)
  local p = pace_of(b)
  local granted, wait, own = pace_take(p, b.now, patience_ms, turn, C.COST)
  b.is_news = b.is_news or pace_has_risen(p, b.now)
  put_pace(b)
  return granted, math.ceil(wait), own > 0 and own
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
