-- snapshot: what there is to know. Creates nothing; writes only what time alone has changed.
-- KEYS  failures pause state events
-- ARGV  token channel who declares
-- reply exists incarnation version state paused epoch run count resumes_in_ms opened_at ...
-- who is '' for a reader that uses no breaker, such as a scrape: it prolongs no state's life.
-- @include settle

local b = begin(KEYS, ARGV)
local reply = refusal(b)
if reply then
  return reply
end
if b.row.incarnation then
  settle(b)
  commit_if_room(b)
end
return answer(b, view(b))
