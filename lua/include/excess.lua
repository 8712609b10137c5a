-- @include run
-- A mild excess: too many results are rate limit errors, yet a success always comes in between.

-- Seconds: older results do not count.
C.RESULTS_FOR = 10
-- Results: fewer show nothing.
C.FEWEST_RESULTS = 20
-- Results: this many show enough, also if they came in less time.
C.ENOUGH_RESULTS = 60

local function watches_share(b)
  return b.row.recovery == 'pace' and b.row.mode ~= 'shadow' and b.row.disabled ~= '1'
    and num(b, 'pace_from') > 0
end

-- The results of the last seconds, the newest last: the second, its errors and its successes.
local function results_of(b, second)
  local kept = {}
  for at, errors, successes in string.gmatch(b.row.results or '', '(%d+) (%d+) (%d+)') do
    at = tonumber(at)
    if at > second - C.RESULTS_FOR and at <= second then
      kept[#kept + 1] = {at, tonumber(errors), tonumber(successes)}
    end
  end
  return kept
end

local function note_results(b, errors, successes)
  local second = math.floor(b.now / 1000)
  local kept = results_of(b, second)
  local last = kept[#kept]
  if last == nil or last[1] ~= second then
    last = {second, 0, 0}
    kept[#kept + 1] = last
  end
  last[2], last[3] = last[2] + errors, last[3] + successes
  local texts = {}
  for _, one in ipairs(kept) do
    texts[#texts + 1] = string.format('%.0f %.0f %.0f', one[1], one[2], one[3])
  end
  put(b, 'results', table.concat(texts, ' '))
  return kept
end

-- How many of how many results were errors, if these are too many; else nil. Fewer errors than
-- `threshold` are never too many.
local function excess(kept, pace_from, threshold)
  local errors, all = 0, 0
  for i = #kept, 1, -1 do
    errors, all = errors + kept[i][2], all + kept[i][2] + kept[i][3]
    local is_enough = all >= C.ENOUGH_RESULTS or i == 1 and all >= C.FEWEST_RESULTS
    if is_enough and errors >= threshold and errors >= pace_from * all then
      return errors, all
    end
  end
  return nil
end

local function delivered(kept)
  local successes = 0
  for _, one in ipairs(kept) do
    successes = successes + one[3]
  end
  return successes / C.RESULTS_FOR
end

-- An error in closed that does not trip: begins a pace if too many results are errors. Errors in a
-- row are counted towards a trip instead.
local function weigh_share(b, successes)
  if not watches_share(b) then
    return
  end
  local kept = note_results(b, 1, successes)
  local errors, all = excess(kept, num(b, 'pace_from'), num(b, 'threshold'))
  if errors == nil or b.count > 1 then
    return
  end
  local reason = string.format('%.0f of the last %.0f results were rate limit errors', errors, all)
  local more = {reason = reason, errors = errors, evidence = b.row.run_errors}
  pace_start(pace_of(b), b.now, delivered(kept))
  put_pace(b)
  put(b, 'results', '')
  put(b, 'trip_id', '')
  put(b, 'opened_at', b.now)
  end_run(b)
  hold_back(b, 'paced', more)
end

-- Successes count while there are errors to hold them against.
local function note_successes(b, successes)
  if not watches_share(b) or (b.row.results or '') == '' then
    return
  end
  local errors = 0
  for _, one in ipairs(results_of(b, math.floor(b.now / 1000))) do
    errors = errors + one[2]
  end
  if errors > 0 then
    note_results(b, 0, successes)
  else
    put(b, 'results', '')
  end
end
