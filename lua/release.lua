-- release: a permit is given back without a result, or a slot that no job used.
-- KEYS  failures pause state events seen
-- ARGV  token channel who declares permit_id
-- reply changed transitions + the brief view
-- `seen` is the permit's. A probe's lease is free again at once. Give a slot back only if no job
-- ran in it: otherwise idle workers, which look for jobs again and again, would seem to be busy.
-- @include recovery

-- Whether this permit has a slot of the present epoch, by the reply that is kept for 10 s.
local function is_slot_of(b, permit_id)
  local own = C.SLOT .. permit_id
  if not is_paced(b) or not b.seen or string.sub(b.seen, 1, #own) ~= own then
    return false
  end
  local kept = cjson.decode(string.sub(b.seen, #own + 1))
  return kept.granted and kept.epoch == num(b, 'epoch')
end

local function give_back(b)
  drop(b.seen_key)
  pace_give_back(pace_of(b), b.now)
  put_pace(b)
end

local b, reply = enter(KEYS, ARGV)
if reply then
  return reply
end
local changed = b.row.lease_id == ARGV[5]
if changed then
  free_lease(b)
elseif is_slot_of(b, ARGV[5]) then
  give_back(b)
  changed = true
end
commit(b)
local said = brief(b)
said.changed = changed
return answer(b, said)
