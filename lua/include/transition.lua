-- @include commit
-- The only code that moves a breaker from one state to another.

local function step(b, event, to, more)
  local made = more or {}
  made.event, made.from, made.to = event, state_of(b), to
  made.epoch, made.at, made.incarnation = num(b, 'epoch'), b.now, b.row.incarnation
  made.by = made.by or b.who
  b.steps[#b.steps + 1] = made
  put(b, 'state', to)
end

-- Ends whatever pause or recovery there is.
local function end_pause(b, event, to, more)
  put(b, 'paused_ms', paused_ms(b))
  step(b, event, to, more)
  if b.left ~= -2 then
    b.left, b.pause = -2, 'drop'
  end
  clear_count(b)
  put(b, 'reopens', 0)
  put(b, 'lease_id', '')
  put(b, 'lease_until', 0)
end

-- Starts a pause of `ms` (nil: until an operator ends it). Every pause is an epoch of its own:
-- results of permits given before it no longer count.
local function open(b, event, to, ms, more)
  put(b, 'paused_ms', paused_ms(b))
  put(b, 'epoch', num(b, 'epoch') + 1)
  more.pause_ms = ms
  step(b, event, to, more)
  put(b, 'reason', more.reason)
  put(b, 'by', b.who)
  put(b, 'trip_id', more.trip_id or '')
  put(b, 'opened_at', b.now)
  put(b, 'open_until', ms and b.now + ms or 0)
  put(b, 'pause_ms', ms or 0)
  put(b, 'lease_id', '')
  put(b, 'lease_until', 0)
  b.left, b.pause = ms or -1, 'set'
end

local function trip(b, reason, retry_after_ms)
  local base = retry_after_ms > 0 and retry_after_ms or num(b, 'cooldown_ms')
  local ms = math.min(num(b, 'max_cooldown_ms'), base * 2 ^ math.min(30, num(b, 'reopens')))
  local more = {
    reason = reason, trip_id = b.token, errors = b.count, retry_after_ms = retry_after_ms,
    evidence = b.row.run_errors,
  }
  put(b, 'trips', num(b, 'trips') + 1)
  if b.row.mode ~= 'shadow' then
    if b.row.recovery == 'pace' then
      pace_trip(pace_of(b), b.now, ms)
      put_pace(b)
    end
    return open(b, 'tripped', 'open', ms, more)
  end
  put(b, 'epoch', num(b, 'epoch') + 1)
  more.pause_ms, more.shadow = ms, 1
  step(b, 'tripped', 'closed', more)
  put(b, 'reason', reason)
  put(b, 'shadow_until', b.now + ms)
  put(b, 'pause_ms', ms)
  clear_count(b)
end

-- From here on a rate is written as 1000.
local FOUR_DIGITS = 999.5

-- Three digits tell a person enough; %g alone would say 1.2e+03.
local function as_text(rate)
  return string.format(rate < FOUR_DIGITS and '%.3g' or '%.0f', rate)
end

local function cut_reason(b, before)
  local p = pace_of(b)
  if p.misses > 0 then
    return string.format('still limited: %d rate limit errors in a row', b.count)
  end
  local after = as_text(pace_rate(p, p.began))
  return string.format('paced down from %s to %s jobs/s', as_text(before), after)
end

-- An error of a paced job: not all is lost, so it is no trip. Every cut is an epoch: the errors of
-- jobs that were let go before it do not cut again.
local function cut(b, retry_after_ms)
  local p = pace_of(b)
  local before = pace_rate(p, b.now)
  pace_cut(p, b.now, retry_after_ms)
  put_pace(b)
  put(b, 'cuts', num(b, 'cuts') + 1)
  local more = {
    reason = cut_reason(b, before),
    trip_id = b.row.trip_id, retry_after_ms = retry_after_ms, evidence = b.row.run_errors,
  }
  if retry_after_ms > 0 then
    open(b, 'cut', 'open', retry_after_ms, more)
  else
    put(b, 'epoch', num(b, 'epoch') + 1)
    step(b, 'cut', 'half-open', more)
    put(b, 'reason', more.reason)
    put(b, 'by', b.who)
  end
end

-- The errors in flight at the trip come milliseconds later with the same Retry-After: that is no
-- news, and must not become an event each.
local function extend(b, ms)
  ms = math.min(num(b, 'max_cooldown_ms'), ms)
  local news_ms = math.min(1000, num(b, 'pause_ms') / 10)
  if b.row.state ~= 'open' or ms < b.left + news_ms then
    return
  end
  put(b, 'pause_ms', ms)
  put(b, 'open_until', b.now + ms)
  b.left, b.pause = ms, 'shift'
  step(b, 'extended', 'open', {reason = 'Retry-After reaches further', pause_ms = ms})
end

-- The pause key's TTL resumes the queue with nobody alive; whoever calls next writes it down.
local function settle_ended_pause(b)
  if b.row.state == 'open' and b.row.recovery ~= 'resume' then
    put(b, 'paused_ms', paused_ms(b))
    step(b, 'half-open', 'half-open', {reason = 'pause over', by = ''})
    if b.row.recovery == 'pace' then
      pace_begin(pace_of(b), b.now)
      put_pace(b)
    else
      clear_count(b)
    end
  else
    end_pause(b, 'closed', 'closed', {reason = 'pause over', by = ''})
  end
end

local function settle(b)
  local stored = b.row.state
  if stored ~= 'open' and stored ~= 'forced-open' then
    return
  elseif b.left == -2 then
    return settle_ended_pause(b)
  end
  -- A pause longer than it was made is a clock that jumped back.
  local length = num(b, 'pause_ms')
  if length > 0 and b.left > length then
    put(b, 'open_until', b.now + length)
    b.left, b.pause = length, 'shift'
  end
end

-- What a repeat of a report or an order is told; nil if this is none.
local function repeated(b)
  if not b.seen or b.row.incarnation == nil then
    return nil
  elseif string.sub(b.seen, 1, #b.token) == b.token then
    return string.sub(b.seen, #b.token + 1)
  end
  settle(b)
  commit(b)
  local said = view(b)
  said.duplicate = true
  return answer(b, said)
end
