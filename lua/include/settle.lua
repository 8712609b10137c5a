-- @include transition
-- What time alone changes; the next caller writes it down.

-- Half-open under `pace` and `probe`; closed under `resume`, and in shadow mode, which guards
-- nothing.
local function recover(b, reason)
  if b.row.recovery == 'resume' or b.row.mode == 'shadow' then
    close(b)
    return step(b, 'closed', {reason = reason, by = ''})
  end
  put(b, 'state', 'half-open')
  if b.row.recovery == 'pace' then
    pace_begin(pace_of(b), b.now)
    put_pace(b)
  else
    clear_count(b)
  end
  step(b, 'half-open', {reason = reason, by = ''})
end

local function forget_order(b)
  put(b, 'order', '')
  put(b, 'order_until', 0)
end

-- An order has ended: what lies under it holds again.
local function end_order(b)
  forget_order(b)
  if b.row.state == 'half-open' and b.row.recovery == 'pace' then
    pace_thaw(pace_of(b), b.now)
    put_pace(b)
  end
  set_pause(b)
  step(b, state_of(b), {reason = "the operator's pause is over", by = ''})
end

local function is_over(b, field)
  return num(b, field) > 0 and not is_ahead(b, field)
end

local function end_recovery(b, reason)
  close(b)
  step(b, 'closed', {reason = reason, by = ''})
end

-- A recovery is over when its pace limits nothing any more, or when no job used it, or no error
-- came, for `forget_after`.
local function settle_recovery(b)
  local forget_after = num(b, 'forget_after_ms')
  if b.row.recovery == 'pace' then
    if pace_is_over(pace_of(b), b.now, forget_after) then
      pace_end(b.pace, b.now)
      put_pace(b)
      end_recovery(b, 'the pace no longer limits the fleet')
    end
  elseif not is_ahead(b, 'lease_until')
    and b.now - math.max(num(b, 'clock'), num(b, 'opened_at')) >= forget_after then
    end_recovery(b, 'no job came while recovering')
  end
end

-- Milliseconds by which the key's end and the fields' may differ: the key is set a moment later.
C.SLACK = 50

-- The pause key's TTL resumes the queue with no process alive; the next caller writes it down.
local function settle_ended_pause(b)
  if num(b, 'paused_from') > 0 then
    note_paused(b)
  end
  local was_ordered = b.row.order == 'paused'
  if was_ordered then
    forget_order(b)
  end
  if b.row.state == 'open' then
    recover(b, was_ordered and "the operator's pause is over" or 'pause over')
  elseif was_ordered then
    end_order(b)
  elseif b.row.state == 'half-open' then
    settle_recovery(b)
  end
end

local function settle(b)
  local due = due_ms(b)
  local was_set = b.row.order == 'paused' or b.row.state == 'open'
  if due == -2 and b.left >= 0 and was_set then
    -- The key goes a moment after both layers have ended.
    b.left, b.key = -2, 'drop'
  end
  if b.left == -2 then
    settle_ended_pause(b)
  elseif b.row.order == 'paused' and is_over(b, 'order_until') then
    end_order(b)
  elseif due > 0 and b.left > due + C.SLACK then
    set_pause(b)
  end
end
