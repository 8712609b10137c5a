-- @include settings
-- @include trip
-- A run: the rate limit errors since the last success that counted.

-- Errors that a trip shows as its evidence.
C.EVIDENCE_KEPT = 10

local function decoded(b, field)
  local text = b.row[field]
  return (text and text ~= '') and cjson.decode(text) or {}
end

local function add_worker(b)
  local workers = decoded(b, 'run_workers')
  for _, known in ipairs(workers) do
    if known == b.who then
      return #workers
    end
  end
  if #workers < num(b, 'min_workers') then
    workers[#workers + 1] = b.who
    put(b, 'run_workers', cjson.encode(workers))
  end
  return #workers
end

local function add_evidence(b, error_id, retry_after_ms)
  local errors = decoded(b, 'run_errors')
  if #errors >= C.EVIDENCE_KEPT then
    table.remove(errors, 1)
  end
  errors[#errors + 1] = {
    id = error_id, worker = b.who, at = b.now, retry_after_ms = retry_after_ms,
  }
  put(b, 'run_errors', cjson.encode(errors))
end

-- A Retry-After is a deadline: the latest one of the run holds, whatever a later error says.
local function ask_until(b, retry_after_ms)
  if retry_after_ms > 0 then
    local ms = math.min(retry_after_ms, num(b, 'max_cooldown_ms'))
    put(b, 'run_until', math.max(num(b, 'run_until'), b.now + ms))
  end
end

-- Adds one error to the run and returns from how many workers the run has come (counted up to
-- min_workers).
local function add_to_run(b, error_id, retry_after_ms)
  b.count, b.added = b.count + 1, true
  if b.count == 1 then
    put(b, 'run', num(b, 'run') + 1)
    put(b, 'run_until', 0)
    put(b, 'run_workers', '')
    put(b, 'run_errors', '')
  end
  put(b, 'old_successes', 0)
  ask_until(b, retry_after_ms)
  add_evidence(b, error_id, retry_after_ms)
  return add_worker(b)
end

-- A pace that no trip began holds back only jobs with permits. Errors and successes of callers
-- without permits then count as in closed.
local function is_after_trip(b)
  return (b.row.trip_id or '') ~= ''
end

-- Whether the run has enough errors, from enough workers, for a trip.
local function is_due(b, workers)
  return b.count >= num(b, 'threshold') and workers >= num(b, 'min_workers')
end

local function end_run(b)
  clear_count(b)
  put(b, 'run_errors', '')
  put(b, 'old_successes', 0)
end

-- A success of a job that started before the run began is weak evidence: it takes `threshold` of
-- them since the last error. Returns whether the run has ended.
local function weigh_success(b, permit_run)
  local is_of_run = permit_run == '' or tonumber(permit_run) >= num(b, 'run')
  if not is_of_run then
    put(b, 'old_successes', num(b, 'old_successes') + 1)
  end
  if is_of_run or num(b, 'old_successes') >= num(b, 'threshold') then
    end_run(b)
    return true
  end
  return false
end

-- Whether a result is of the present epoch: permit_epoch is '' for callers without permits. A
-- permit of a lost state has another incarnation, or an epoch that this state does not have yet.
local function is_current(b, permit_incarnation, permit_epoch)
  if permit_epoch == '' then
    return true
  end
  local is_same = permit_incarnation == '' or permit_incarnation == b.row.incarnation
  return is_same and tonumber(permit_epoch) == num(b, 'epoch')
end
