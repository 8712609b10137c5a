-- @include settle
-- What rate limit errors do to the automaton: trip, cut, extend.

-- Opens for `ms`. Every pause is an epoch of its own: results of permits given before it no longer
-- count.
local function open(b, event, ms, more)
  put(b, 'epoch', num(b, 'epoch') + 1)
  put(b, 'state', 'open')
  explain(b, more.reason)
  put(b, 'trip_id', more.trip_id or '')
  put(b, 'kind', more.kind or '')
  put(b, 'opened_at', b.now)
  put(b, 'open_until', b.now + ms)
  put(b, 'pause_ms', ms)
  free_lease(b)
  set_pause(b)
  more.pause_ms = ms
  step(b, event, more)
end

-- Cap on the exponent: 2^30 exceeds any possible max_cooldown / cooldown.
C.MOST_DOUBLINGS = 30

-- What the upstream asked for ages: 300 s said 250 s ago is 50 s.
local function asked_ms(b)
  return math.max(0, num(b, 'run_until') - b.now)
end

-- An explicit Retry-After is taken as it is. Only the breaker's own cooldown doubles with each trip
-- in a row, and an exhausted quota waits at least `quota_pause`.
local function trip_ms(b, kind)
  local asked = asked_ms(b)
  if kind == 'quota' then
    return math.max(asked, num(b, 'quota_pause_ms'))
  elseif asked > 0 then
    return asked
  end
  local cooldown = num(b, 'cooldown_ms') * 2 ^ math.min(C.MOST_DOUBLINGS, num(b, 'reopens'))
  return math.min(num(b, 'max_cooldown_ms'), cooldown)
end

local function trip(b, reason, kind)
  local ms = trip_ms(b, kind)
  local more = {
    reason = reason, trip_id = b.token, errors = b.count, retry_after_ms = asked_ms(b),
    evidence = b.row.run_errors, kind = kind == 'quota' and kind or nil,
  }
  put(b, 'trips', num(b, 'trips') + 1)
  if b.row.mode ~= 'shadow' then
    if b.row.recovery == 'pace' then
      pace_trip(pace_of(b), b.now, ms, b.row.state ~= 'half-open')
      put_pace(b)
    end
    return open(b, 'tripped', ms, more)
  end
  put(b, 'epoch', num(b, 'epoch') + 1)
  explain(b, reason)
  put(b, 'shadow_until', b.now + ms)
  clear_count(b)
  more.pause_ms, more.shadow = ms, 1
  step(b, 'tripped', more)
end

-- Jobs start at a pace without a pause before it, and without a trip.
local function go_paced(b, event, more)
  put(b, 'state', 'half-open')
  explain(b, more.reason)
  step(b, event, more)
end

-- The same as an epoch of its own: errors of jobs that started before it do not count again.
local function hold_back(b, event, more)
  put(b, 'epoch', num(b, 'epoch') + 1)
  go_paced(b, event, more)
end

-- Rates from here on are written without decimals.
C.FOUR_DIGITS = 999.5

-- Three digits tell a person enough; %g alone would say 1.2e+03.
local function as_text(rate)
  return string.format(rate < C.FOUR_DIGITS and '%.3g' or '%.0f', rate)
end

local function cut_reason(b, before)
  local p = pace_of(b)
  if p.misses > 0 then
    return string.format('still limited: %d rate limit errors in a row', b.count)
  end
  local after = as_text(pace_rate(p, p.began))
  return string.format('paced down from %s to %s jobs/s', as_text(before), after)
end

-- An error of a paced job is no trip, since some jobs get through. Every cut is an epoch: the
-- errors of jobs that started before it do not cut again.
local function cut(b)
  local p = pace_of(b)
  local before, ms = pace_rate(p, b.now), asked_ms(b)
  pace_cut(p, b.now, ms)
  put_pace(b)
  put(b, 'cuts', num(b, 'cuts') + 1)
  local more = {
    reason = cut_reason(b, before),
    trip_id = b.row.trip_id, retry_after_ms = ms, evidence = b.row.run_errors,
  }
  if ms > 0 then
    open(b, 'cut', ms, more)
  else
    hold_back(b, 'cut', more)
  end
end

-- The errors in flight at the trip arrive milliseconds later with the same Retry-After: an event
-- is written only if the pause grows by this share of it, or by this many milliseconds.
C.NEWS_SHARE = 0.1
C.NEWS_MS = 1000

local function extend(b, permit_incarnation, ms)
  local is_lost = permit_incarnation ~= '' and permit_incarnation ~= b.row.incarnation
  if is_lost or b.row.mode == 'shadow' then
    return
  end
  ms = math.min(num(b, 'max_cooldown_ms'), ms)
  local news_ms = math.min(C.NEWS_MS, num(b, 'pause_ms') * C.NEWS_SHARE)
  if ms < num(b, 'open_until') - b.now + news_ms then
    return
  end
  put(b, 'pause_ms', ms)
  put(b, 'open_until', b.now + ms)
  set_pause(b)
  step(b, 'extended', {reason = 'Retry-After reaches further', pause_ms = ms})
end
