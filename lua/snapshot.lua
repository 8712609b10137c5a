-- snapshot: what there is to know. Creates nothing; writes only what time alone has changed.
-- KEYS  failures pause state events
-- ARGV  token channel who settings declares
-- reply exists incarnation version state paused epoch run count resumes_in_ms opened_at ...
-- @include transition

local b = begin(KEYS, ARGV)
settle(b)
commit(b)
return answer(b, view(b))
