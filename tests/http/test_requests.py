"""What only the adapter of requests does: it sees what urllib3 repeats."""

import pytest
import requests
import urllib3

from breaker import Breaker
from breaker.http.requests import Adapter
from tests.http.upstream import Answer, limited


@pytest.fixture
def breaker(name, url):
    with Breaker(name, url=url, push=False, threshold=3, worker="w1") as made:
        yield made


def session(breaker, **retry):
    made = requests.Session()
    retries = urllib3.Retry(
        **{"total": 9, "backoff_factor": 0, "status_forcelist": [429]} | retry
    )
    made.mount("http://", Adapter(breaker, max_retries=retries))
    return made


def test_every_attempt_that_urllib3_repeats_counts(breaker, upstream):
    upstream.script = [limited(None), limited(None), Answer(body={"ok": True})]
    with session(breaker) as client:
        assert client.get(upstream.url).json() == {"ok": True}
    assert breaker.status().rate_limit_errors == 2
    assert upstream.calls == 3


def test_an_open_breaker_ends_the_repeating(breaker, upstream):
    upstream.script = [limited(None)]
    with session(breaker) as client:
        found = client.get(upstream.url)
    assert (found.status_code, found.headers["x-breaker"]) == (429, "open")
    assert upstream.calls == 3


def test_in_a_guard_the_error_of_the_last_repeat_is_not_new(breaker, upstream):
    upstream.script = [limited(None)]
    with (
        session(breaker, total=1) as client,
        pytest.raises(requests.exceptions.RetryError),
        breaker.guard(),
    ):
        client.get(upstream.url)
    assert breaker.status().rate_limit_errors == 2


def test_the_answer_after_the_last_repeat(breaker, upstream):
    upstream.script = [limited(None, error="no")]
    with session(breaker, total=1, raise_on_status=False) as client:
        assert client.get(upstream.url).json() == {"error": "no"}


def test_connections_are_repeated_too(breaker, upstream):
    upstream.script = [Answer(cut=True), Answer(body={"ok": True})]
    with session(breaker) as client:
        assert client.get(upstream.url).json() == {"ok": True}
    with (
        session(breaker, total=0) as client,
        pytest.raises(requests.exceptions.ConnectionError),
    ):
        client.get("http://127.0.0.1:1")


def test_a_body_is_sent_again(breaker, upstream):
    upstream.script = [limited(None), Answer(body={"ok": True})]
    with session(breaker, allowed_methods=None) as client:
        client.post(upstream.url, data=b"payload")
    assert [body for *_, body in upstream.requests] == [b"payload"] * 2


def test_cookies_and_streams(breaker, upstream):
    upstream.script = [
        Answer(404, {"a": 1}, {"set-cookie": "a=b"}),
        Answer(429, chunks=(b"x" * 100_000, b"y" * 100_000)),
    ]
    with requests.Session() as client:
        client.mount("http://", Adapter(breaker))
        found = client.get(upstream.url)
        assert (found.json(), found.cookies["a"]) == ({"a": 1}, "b")
        with client.get(upstream.url, stream=True) as found:
            read = b"".join(found.iter_content(7_000))
        assert read == b"x" * 100_000 + b"y" * 100_000


def test_a_proxy(breaker, upstream):
    upstream.script = [limited(None), Answer(body={"ok": True})]
    with session(breaker) as client:
        client.proxies = {"http": upstream.url}
        assert client.get("http://example.com/a").json() == {"ok": True}
    assert upstream.requests[0][1] == "http://example.com/a"
    assert breaker.status().rate_limit_errors == 1
