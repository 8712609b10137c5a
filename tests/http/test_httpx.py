"""What only the transports of httpx do."""

import asyncio
import threading

import httpx
import pytest

from breaker import AsyncBreaker, Breaker, ConfigurationError
from breaker.http.httpx import AsyncTransport, Transport
from tests.http import http2
from tests.http.upstream import Answer, limited, until


@pytest.fixture
def breaker(name, url):
    with Breaker(name, url=url, push=False, threshold=1, worker="w1") as made:
        yield made


def test_a_stream_is_not_read_ahead(breaker, upstream):
    upstream.script = [Answer(200, chunks=(b"a", b"b"))]
    with (
        httpx.Client(transport=Transport(breaker)) as client,
        client.stream("GET", upstream.url) as found,
    ):
        assert not found.is_stream_consumed
        assert b"".join(found.iter_raw()) == b"ab"


def test_an_error_in_a_stream_can_be_read(breaker, upstream):
    upstream.script = [limited(1, error="slow down")]
    with (
        httpx.Client(transport=Transport(breaker)) as client,
        client.stream("GET", upstream.url) as found,
    ):
        assert found.status_code == 429
        assert found.read() == b'{"error": "slow down"}'


def test_an_sdk_is_asked_not_to_sleep_through_a_pause(breaker, upstream):
    upstream.script = [limited(600)]
    with httpx.Client(transport=Transport(breaker)) as client:
        theirs, ours = client.get(upstream.url), client.get(upstream.url)
    assert theirs.headers["x-should-retry"] == ours.headers["x-should-retry"] == "false"
    breaker.resume()
    breaker.configure({"threshold": 9})
    with httpx.Client(transport=Transport(breaker)) as client:
        assert "x-should-retry" not in client.get(upstream.url).headers


def test_the_transport_that_is_wrapped_sends(breaker):
    sent = []

    def answer(request):
        sent.append(request.url)
        return httpx.Response(200, json={"ok": True})

    with httpx.Client(transport=Transport(breaker, httpx.MockTransport(answer))) as client:
        assert client.get("http://example.com/a").json() == {"ok": True}
    assert sent == ["http://example.com/a"]


def test_http_2(breaker):
    transport = Transport(breaker, httpx.HTTPTransport(http1=False, http2=True))
    with http2.serving() as url, httpx.Client(transport=transport) as client:
        found = client.get(url)
    assert (found.http_version, found.status_code, found.content) == ("HTTP/2", 429, http2.BODY)
    assert breaker.status().resumes_in > 5


def test_a_proxy(breaker, upstream):
    upstream.script = [limited(7)]
    transport = Transport(breaker, httpx.HTTPTransport(proxy=httpx.Proxy(upstream.url)))
    with httpx.Client(transport=transport) as client:
        client.get("http://example.com/a")
    assert upstream.requests[0][1] == "http://example.com/a"
    assert breaker.status().resumes_in > 5


def test_an_error_of_a_mock_is_classified_by_its_body(breaker):
    body = {"error": {"message": "request too large"}}
    transport = httpx.MockTransport(lambda _request: httpx.Response(429, json=body))
    with httpx.Client(transport=Transport(breaker, transport)) as client:
        assert client.get("http://example.com").json() == body
    assert breaker.status().rate_limit_errors == 0


async def test_a_cancelled_request_gives_its_leave_back(name, url, upstream):
    held = threading.Event()
    given = {"url": url, "push": False, "threshold": 1, "recovery": "probe", "probe_lease": 60}
    async with (
        AsyncBreaker(name, **given) as breaker,
        httpx.AsyncClient(transport=AsyncTransport(breaker)) as client,
    ):
        await breaker.record_rate_limit_error(0.05)
        await breaker.wait(10)
        upstream.script = [Answer(held=held)]
        request = asyncio.create_task(client.get(upstream.url))
        await asyncio.to_thread(until, lambda: upstream.calls)
        assert (await breaker.status()).probe_until is not None
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        held.set()
        assert (await breaker.status()).probe_until is None


def test_it_closes_what_it_wraps(breaker):
    class Closing(httpx.MockTransport):
        is_closed = False

        def close(self):
            self.is_closed = True

    wrapped = Closing(lambda _request: httpx.Response(200))
    httpx.Client(transport=Transport(breaker, wrapped)).close()
    assert wrapped.is_closed


def test_a_client_that_is_too_old_is_an_error_at_the_door(breaker, monkeypatch):
    monkeypatch.setattr(httpx, "__version__", "0.23.3")
    with pytest.raises(
        ConfigurationError, match=r"httpx 0\.23\.3 is too old .* 0\.25 or newer"
    ):
        Transport(breaker)


def test_bad_input_is_one_error_at_the_door(breaker, name, url):
    with pytest.raises(ConfigurationError, match=r"needs a breaker\.AsyncBreaker"):
        AsyncTransport(breaker)
    with pytest.raises(ConfigurationError, match=r"needs a breaker\.Breaker"):
        Transport(AsyncBreaker(name, url=url, push=False))
    with pytest.raises(ConfigurationError, match=r"needs a breaker\.Breaker, not 'content'"):
        Transport("content")
    with pytest.raises(ConfigurationError, match="timeout must be seconds from 0"):
        Transport(breaker, timeout=-1)


def test_a_hook_of_another_breaker_is_not_the_guards(breaker, name, url, upstream):
    upstream.script = [limited(30)]
    with (
        Breaker(f"{name}-other", url=url, push=False, threshold=9) as other,
        httpx.Client(transport=Transport(other)) as client,
        breaker.guard(),
    ):
        client.get(upstream.url)
        assert other.status().rate_limit_errors == 1
    assert breaker.status().rate_limit_errors == 0


def test_threads_of_a_job_that_copy_its_context_belong_to_it(breaker, upstream):
    import contextvars

    upstream.script = [limited(30)]
    with httpx.Client(transport=Transport(breaker)) as client, breaker.guard() as permit:
        context = contextvars.copy_context()
        thread = threading.Thread(target=context.run, args=(client.get, upstream.url))
        thread.start()
        thread.join()
        assert permit.rate_limited(5) is None
    assert breaker.status().rate_limit_errors == 1
