"""What only the middleware of aiohttp does."""

import aiohttp
import pytest

from breaker import AsyncBreaker, Breaker, ConfigurationError
from breaker.http.aiohttp import middleware
from tests.http.upstream import Answer, limited


@pytest.fixture
async def breaker(name, url):
    async with AsyncBreaker(name, url=url, push=False, threshold=1, worker="w1") as made:
        yield made


async def test_an_answer_of_ours_is_a_whole_response(breaker, upstream):
    await breaker.pause(30)
    async with aiohttp.ClientSession(middlewares=[middleware(breaker)]) as session:
        async with session.get(upstream.url) as found:
            assert (await found.json())["error"]["code"] == "breaker_open"
            assert (found.url.path, found.reason, found.ok) == ("/", "Too Many Requests", False)
        with pytest.raises(aiohttp.ClientResponseError) as caught:
            await session.get(upstream.url, raise_for_status=True)
    assert (caught.value.status, dict(caught.value.headers)["x-breaker"]) == (429, "open")
    assert upstream.calls == 0


async def test_the_body_of_an_error_can_be_streamed(breaker, upstream):
    upstream.script = [limited(1, error="no"), Answer()]
    async with (
        aiohttp.ClientSession(middlewares=[middleware(breaker)]) as session,
        session.get(upstream.url) as found,
    ):
        assert [part async for part in found.content.iter_any()] == [b'{"error": "no"}']


async def test_a_middleware_for_one_request(breaker, upstream):
    upstream.script = [limited(1)]
    async with aiohttp.ClientSession() as session:
        await session.get(upstream.url, middlewares=[middleware(breaker)])
    assert (await breaker.status()).rate_limit_errors == 1


def test_bad_input_is_one_error_at_the_door(name, url, monkeypatch):
    with Breaker(name, url=url, push=False) as breaker:
        with pytest.raises(ConfigurationError, match=r"needs a breaker\.AsyncBreaker"):
            middleware(breaker)
        monkeypatch.setattr(aiohttp, "__version__", "3.11.18")
        with pytest.raises(ConfigurationError, match=r"aiohttp 3\.11\.18 is too old"):
            middleware(breaker)
