-- snapshot: what there is to know. Creates nothing; writes only what time alone has changed.
-- KEYS  failures pause state events
-- ARGV  token channel who declares
-- reply exists incarnation version state paused epoch run count resumes_in_ms opened_at ...
-- @include settle

local b = begin(KEYS, ARGV)
local reply = refusal(b)
if reply then
  return reply
end
if b.row.incarnation then
  settle(b)
  commit(b)
end
return answer(b, view(b))
