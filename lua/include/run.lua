-- @include settings
-- A run: the rate limit errors since the last success.

local EVIDENCE_KEPT = 10

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
  if #errors >= EVIDENCE_KEPT then
    table.remove(errors, 1)
  end
  errors[#errors + 1] = {
    id = error_id, worker = b.who, at = b.now, retry_after_ms = retry_after_ms,
  }
  put(b, 'run_errors', cjson.encode(errors))
end

-- Adds one error to the run and says from how many workers the run has come (counted up to
-- min_workers).
local function add_to_run(b, error_id, retry_after_ms)
  b.count, b.added = b.count + 1, true
  if b.count == 1 then
    put(b, 'run', num(b, 'run') + 1)
    put(b, 'run_retry_after_ms', 0)
    put(b, 'run_workers', '')
    put(b, 'run_errors', '')
  end
  put(b, 'run_retry_after_ms', math.max(num(b, 'run_retry_after_ms'), retry_after_ms))
  add_evidence(b, error_id, retry_after_ms)
  return add_worker(b)
end
