"""What the hooks of httpx, requests and aiohttp have in common."""

import gzip
import json
import threading

import aiohttp
import httpx
import pytest

from breaker import State
from tests.http.upstream import Answer, limited, until


def test_an_answer_passes_untouched(client, upstream):
    made = client()
    upstream.script = [Answer(201, {"a": 1}, {"x-a": "b"})]
    found = made.get(upstream.url)
    assert (found.status, json.loads(found.body), found.headers["x-a"]) == (201, {"a": 1}, "b")
    assert made.call("status").rate_limit_errors == 0


def test_each_429_counts_and_its_body_is_still_there(client, upstream):
    made = client()
    upstream.script = [limited(0.2)]
    for count in (1, 2):
        found = made.get(upstream.url)
        assert found.status == 429
        assert json.loads(found.body) == {"error": {"message": "slow down"}}
        assert made.call("status").consecutive_errors == count


def test_an_open_breaker_answers_itself(client, upstream):
    made = client(threshold=1)
    upstream.script = [limited(30), Answer()]
    made.get(upstream.url)
    found = made.get(upstream.url)
    assert (found.status, found.headers["x-breaker"]) == (429, "open")
    assert 25 <= int(found.headers["retry-after"]) <= 30
    assert "was not sent" in json.loads(found.body)["error"]["message"]
    assert upstream.calls == 1
    assert made.call("status").rate_limit_errors == 1


def test_paused_by_an_operator(client, upstream):
    made = client()
    made.call("pause")
    found = made.get(upstream.url)
    assert (found.headers["x-breaker"], found.headers["retry-after"]) == ("open", "60")
    assert upstream.calls == 0


def test_it_waits_if_it_may(client, upstream):
    made = client(threshold=1, timeout=5)
    upstream.script = [limited(0.1), Answer(body={"ok": True})]
    assert made.get(upstream.url).status == 429
    assert made.get(upstream.url).status == 200


def test_in_a_guard_an_error_counts_once(client, upstream):
    made = client(threshold=9)
    upstream.script = [limited(0.1)]
    with pytest.raises(RuntimeError):
        made.guarded(upstream.url)
    assert made.call("status").rate_limit_errors == 1


def test_in_a_guard_each_attempt_counts(client, upstream):
    made = client(threshold=9)
    upstream.script = [limited(0.1), limited(0.1), Answer()]
    made.guarded(upstream.url, upstream.url, raises=False)
    assert made.call("status").rate_limit_errors == 2
    assert made.call("status").consecutive_errors == 2


def test_a_success_ends_the_run(client, upstream):
    made = client(threshold=9)
    upstream.script = [limited(0.1), Answer()]
    made.get(upstream.url)
    made.get(upstream.url)
    assert made.call("status").consecutive_errors == 0
    upstream.script = [limited(0.1)]
    with pytest.raises(RuntimeError):
        made.guarded(upstream.url)
    upstream.script = [Answer()]
    made.guarded(upstream.url)
    assert made.call("status").consecutive_errors == 0


def test_in_a_guard_an_open_breaker_answers_too(client, upstream):
    made = client(threshold=1)
    upstream.script = [limited(30), Answer()]
    theirs, ours = made.guarded(upstream.url, upstream.url, raises=False)
    assert "x-breaker" not in theirs.headers
    assert ours.headers["x-breaker"] == "open"
    status = made.call("status")
    assert (upstream.calls, status.rate_limit_errors, status.trips) == (1, 1, 1)


def test_the_body_tells_a_quota(client, upstream):
    made = client()
    quota = {"error": {"code": "insufficient_quota", "message": "no"}}
    body = gzip.compress(json.dumps(quota).encode())
    upstream.script = [Answer(429, body, {"content-encoding": "gzip"})]
    found = made.get(upstream.url)
    assert json.loads(found.body) == quota
    status = made.call("status")
    assert (status.kind, status.is_paused, status.rate_limit_errors) == ("quota", True, 1)
    assert status.resumes_in > 600


def test_other_errors_say_nothing(client, upstream):
    made = client()
    for status in (400, 404, 500):
        upstream.script = [Answer(status, {"error": "no"})]
        assert made.get(upstream.url).status == status
    assert made.call("status").rate_limit_errors == 0


def test_a_large_error_is_whole(client, upstream):
    made = client(threshold=99)
    chunks = tuple(bytes([65 + number % 26]) * 10_000 for number in range(30))
    for script in (Answer(429, chunks=chunks), Answer(429, body=b"".join(chunks))):
        upstream.script = [script]
        assert made.get(upstream.url).body == b"".join(chunks)


def test_a_stream_is_whole(client, upstream):
    made = client()
    chunks = tuple(bytes([65 + number % 26]) * 10_000 for number in range(30))
    upstream.script = [Answer(200, chunks=chunks)]
    assert made.get(upstream.url).body == b"".join(chunks)


def test_each_step_of_a_redirect_is_an_attempt(client, upstream):
    made = client(threshold=9)
    upstream.script = [Answer(302, headers={"location": "/there"}), limited(1)]
    assert made.get(upstream.url).status == 429
    assert [path for _, path, *_ in upstream.requests] == ["/", "/there"]
    assert made.call("status").rate_limit_errors == 1


def test_a_connection_that_fails_gives_its_leave_back(client, upstream):
    made = client(recovery="probe", threshold=1, probe_lease=60)
    upstream.script = [limited(0.05), Answer(cut=True)]
    made.get(upstream.url)
    until(lambda: not made.call("is_paused"))
    with pytest.raises((OSError, httpx.TransportError, aiohttp.ClientError)):
        made.get(upstream.url)
    assert made.call("status").probe_until is None
    upstream.script = [Answer()]
    assert made.get(upstream.url).status == 200
    until(lambda: made.call("status").state is State.CLOSED)


def test_a_timeout_gives_its_leave_back(client, upstream):
    made = client(recovery="probe", threshold=1, probe_lease=60)
    held = threading.Event()
    upstream.script = [limited(0.05), Answer(held=held)]
    made.get(upstream.url)
    until(lambda: not made.call("is_paused"))
    with pytest.raises((OSError, httpx.TimeoutException)):
        made.get(upstream.url, timeout=0.1)
    held.set()
    assert made.call("status").probe_until is None


def test_headers_teach(client, upstream):
    made = client()
    scarce = {
        "x-ratelimit-limit": "100",
        "x-ratelimit-remaining": "1",
        "x-ratelimit-reset": "30",
    }
    upstream.script = [Answer(200, headers=scarce)]
    made.get(upstream.url)
    assert made.call("status").pace is not None
