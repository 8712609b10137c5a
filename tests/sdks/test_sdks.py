"""The SDKs that people use, each in its real code, against a server that answers 429."""

import asyncio
from typing import Any

import pytest

from breaker import AsyncBreaker, Breaker
from tests.http.upstream import Answer, limited, serving
from tests.sdks.clients import CHAT, MESSAGES, SDKS

pytestmark = [
    pytest.mark.sdk,
    # Their own business, as warnings of a library that one of them has replaced.
    pytest.mark.filterwarnings("ignore"),
]

# In seconds: the SDKs take a wait this short, and tests do not wait for long.
SHORT = 0.02


@pytest.fixture
def upstream():
    with serving() as running:
        yield running


@pytest.fixture(params=SDKS)
def sdk(request):
    return SDKS[request.param]


@pytest.fixture
def breaker(name, url):
    with Breaker(name, url=url, threshold=2, worker="w1") as made:
        yield made


def test_every_attempt_counts(sdk, breaker, upstream):
    """A job that goes through, after the SDK has been limited once inside of the call."""
    upstream.script = [limited(SHORT), Answer(body=sdk.answer)]
    call = sdk.make(breaker, upstream.url)
    if sdk.requests == 1:
        with pytest.raises(Exception, match=r".") as caught, breaker.guard():
            call()
        assert type(caught.value).__name__ == sdk.error
    else:
        with breaker.guard():
            call()
    assert breaker.status().rate_limit_errors == 1
    with breaker.guard():
        call()
    assert breaker.status().consecutive_errors == 0


def test_a_trip_in_the_middle_of_a_call_ends_it(sdk, breaker, upstream):
    """The attempts count, the queue pauses, and the SDK does not sleep through the pause."""
    upstream.script = [limited(SHORT), limited(600)]
    call = sdk.make(breaker, upstream.url)
    for _ in range(2):
        with pytest.raises(Exception, match=r".") as caught, breaker.guard(timeout=0):
            call()
        if breaker.status().is_paused:
            break
    assert type(caught.value).__name__ in {sdk.error, "BreakerOpen"}
    status = breaker.status()
    assert (status.trips, status.rate_limit_errors, upstream.calls) == (1, 2, 2)


def test_without_a_guard_it_is_a_breaker_for_services(sdk, breaker, upstream):
    upstream.script = [Answer(body=sdk.answer)]
    call = sdk.make(breaker, upstream.url)
    call()
    breaker.pause(600)
    with pytest.raises(Exception, match=r".") as caught:
        call()
    assert type(caught.value).__name__ == sdk.error
    assert upstream.calls == 1
    assert breaker.status().rate_limit_errors == 0


def asynchronous(name: str, breaker: Any, url: str) -> Any:
    import httpx

    from breaker.http.httpx import AsyncTransport

    module = pytest.importorskip(name)
    kind = {"openai": "AsyncOpenAI", "together": "AsyncTogether", "groq": "AsyncGroq"}[name]
    http = httpx.AsyncClient(transport=AsyncTransport(breaker))
    client = getattr(module, kind)(api_key="k", base_url=url, http_client=http)
    return lambda: client.chat.completions.create(model="m", messages=MESSAGES)


@pytest.mark.parametrize("sdk_name", ["openai", "together", "groq"])
async def test_the_asynchronous_clients(sdk_name, name, url, upstream):
    async with AsyncBreaker(name, url=url, threshold=9, worker="w1") as breaker:
        call = asynchronous(sdk_name, breaker, upstream.url)
        upstream.script = [limited(SHORT), Answer(body=CHAT)]
        async with breaker.guard():
            await asyncio.wait_for(call(), 20)
        assert (await breaker.status()).rate_limit_errors == 1


def test_a_stream_that_ends_in_an_overload_counts(breaker, upstream):
    """An event of Anthropic's stream: status 200, and an error in the middle of it."""
    from anthropic import Anthropic

    from tests.sdks.clients import httpx_client

    event = b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error"}}\n\n'
    upstream.script = [
        Answer(200, chunks=(event,), headers={"content-type": "text/event-stream"})
    ]
    http = httpx_client(breaker, "httpx2")
    client = Anthropic(api_key="k", base_url=upstream.url, http_client=http)
    with pytest.raises(Exception, match="overloaded"), breaker.guard():
        for _ in client.messages.create(
            model="m", max_tokens=5, messages=MESSAGES, stream=True
        ):
            pass
    assert breaker.status().rate_limit_errors == 1
