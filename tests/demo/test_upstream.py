"""The upstream over HTTP: it limits, says for how long, and counts."""

import json
import threading
import urllib.error

import pytest

from breaker import rate_limit
from breaker.demo.jobs import call_upstream, fetch
from breaker.demo.upstream import Upstream


def serve(rate, *, hints=True):
    server = Upstream(rate, hints=hints)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    return server, thread, f"http://127.0.0.1:{server.server_port}"


@pytest.fixture
def start():
    started = []

    def start(rate, **options):
        started.append(serve(rate, **options))
        return started[-1][2]

    yield start
    for server, thread, _ in started:
        server.shutdown()
        thread.join()
        server.server_close()


def refused(url: str) -> urllib.error.HTTPError:
    with pytest.raises(urllib.error.HTTPError) as caught:
        call_upstream(url)
    caught.value.close()
    return caught.value


def test_it_limits_and_counts(start):
    url = start(1)
    call_upstream(f"{url}/content?job=1")
    error = refused(f"{url}/content?job=2")
    assert error.code == 429
    assert error.headers["Retry-After"] == "1"
    assert rate_limit(error).retry_after == 1
    stats = json.loads(fetch(f"{url}/stats"))
    assert stats == {"calls": 2, "answered": 1, "limited": 1, "jobs": 1}


def test_a_job_done_twice_shows(start):
    url = start(100)
    for job in (1, 2, 2):
        call_upstream(f"{url}/content?job={job}")
    stats = json.loads(fetch(f"{url}/stats"))
    assert (stats["answered"], stats["jobs"]) == (3, 2)


def test_others_can_spend_the_allowance(start):
    url = start(100)
    fetch(f"{url}/spend-ahead?seconds=30", "POST")
    # One less if this test was kept waiting for the better part of a second.
    assert refused(f"{url}/content?job=1").headers["Retry-After"] in {"30", "31"}


def test_it_can_leave_the_hint_out(start):
    url = start(1, hints=False)
    fetch(f"{url}/spend-ahead?seconds=30", "POST")
    error = refused(f"{url}/content?job=1")
    assert error.code == 429
    assert "Retry-After" not in error.headers


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_there_is_nothing_else(start, method):
    with pytest.raises(urllib.error.HTTPError, match="404") as caught:
        fetch(f"{start(1)}/elsewhere", method)
    caught.value.close()
