-- @include settings
-- The frame of every operator's order.

-- What an order that is given over another one replaces, in words for the history.
local function replaced(b)
  local of, what = 'order_'
  if b.row.order == 'paused' then
    local till = num(b, 'order_until')
    what = till == 0 and 'paused until resumed'
      or string.format('paused for another %.0f s', (till - b.now) / 1000)
  elseif b.row.disabled == '1' then
    of, what = 'disabled_', 'disabled'
  else
    return nil
  end
  local by, reason = b.row[of .. 'by'] or '', b.row[of .. 'reason'] or ''
  return what .. (by ~= '' and ' by ' .. by or '') .. (reason ~= '' and ': ' .. reason or '')
end

-- Lifts every order and ends every trip and recovery, but not `disabled`.
local function lift(b)
  forget_order(b)
  close(b)
end

local function order(keys, argv, act)
  local b, reply = enter(keys, argv)
  if reply then
    return reply
  end
  act(b)
  commit(b)
  local said = view(b)
  said.changed = #b.steps > 0
  return remember(b, said)
end
