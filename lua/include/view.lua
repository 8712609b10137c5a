-- @include row
-- What a breaker tells of itself.

-- Workers may stop sending successes while no error is counted, so the first error of a run is
-- pushed to them all. In milliseconds: at most one such push in this time, or a few per cent of
-- errors would make a storm of pushes.
C.PUSH_EVERY = 1000

-- Milliseconds for which a conflict between two releases' settings is shown after its last sign.
C.RIVAL_SHOWN = 600000

-- Factor: a pace that is held so far below what is allowed by now may go faster.
C.FAR_BELOW = 1.5

-- Jobs per second that the upstream must allow for a held pace to rise; nil if it is not held.
local function held_to(p, now)
  return p.proven > now and pace_rate(p, now) * C.FAR_BELOW or nil
end

local function as_rate(rate)
  return math.floor(math.min(rate, 1000000) * 1000 + 0.5) / 1000
end

-- What a worker needs to know to go on without asking.
local function brief(b)
  local seen = {
    incarnation = b.row.incarnation, version = num(b, 'version'), news = num(b, 'news'),
    state = state_of(b), paused = is_paused(b), epoch = num(b, 'epoch'), run = num(b, 'run'),
    count = b.count, resumes_in_ms = b.left >= 0 and b.left or nil,
    listeners = num(b, 'listeners'),
  }
  if b.row.push_lost ~= '' then
    seen.push_lost = b.row.push_lost
  end
  if is_paced(b) then
    local p = pace_of(b)
    seen.pace, seen.told = as_rate(pace_rate(p, b.now)), as_rate(p.told)
    seen.held = held_to(p, b.now) and as_rate(held_to(p, b.now))
  end
  if b.row.recovery == 'pace' and (seen.state == 'open' or seen.state == 'half-open')
    and pace_of(b).is_new == 1 then
    seen.asks = pace_of(b).round
  end
  return seen
end

-- An order that pauses explains the state before one that disables, and that before a trip.
local function add_reason(b, seen)
  local of = b.row.order == 'paused' and 'order_' or b.row.disabled == '1' and 'disabled_' or ''
  seen.reason, seen.by = b.row[of .. 'reason'], b.row[of .. 'by']
  seen.opened_at = tonumber(b.row[of == 'order_' and 'order_at' or 'opened_at'])
end

local function add_order(b, seen)
  if b.row.order == 'paused' then
    seen.order = 'paused'
    local till = num(b, 'order_until')
    seen.order_left_ms = till > 0 and math.max(0, till - b.now) or nil
  elseif b.row.disabled == '1' then
    seen.order = 'disabled'
  end
  if seen.order == 'paused' and b.row.state == 'open' then
    seen.trip_left_ms = math.max(0, num(b, 'open_until') - b.now)
  end
end

local function add_rival(b, seen)
  if num(b, 'rival_at') > 0 and b.now - num(b, 'rival_at') < C.RIVAL_SHOWN then
    seen.rival, seen.rival_by = b.row.rival, b.row.rival_by
  end
end

local function view(b)
  local seen = brief(b)
  if is_ahead(b, 'pushed_until') then
    seen.untold_for_ms = num(b, 'pushed_until') - b.now
  end
  seen.exists = b.row.incarnation ~= nil
  seen.automaton, seen.disabled = b.row.state or 'closed', b.row.disabled == '1'
  seen.overrides = b.row.overrides
  seen.trips, seen.cuts = num(b, 'trips'), num(b, 'cuts')
  seen.rate_limit_errors = num(b, 'rate_limit_errors')
  seen.paused_ms = paused_ms(b)
  add_reason(b, seen)
  add_order(b, seen)
  add_rival(b, seen)
  if b.row.declared then
    for option in pairs(cjson.decode(b.row.declared)) do
      seen[option] = tonumber(b.row[option]) or b.row[option]
    end
  end
  if seen.state == 'open' or seen.state == 'half-open' or seen.state == 'forced-open' then
    seen.trip_id, seen.kind = b.row.trip_id, b.row.kind
  else
    seen.opened_at = nil
  end
  if seen.state == 'half-open' and is_ahead(b, 'lease_until') then
    seen.lease_left_ms = num(b, 'lease_until') - b.now
  end
  return seen
end
