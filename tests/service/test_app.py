"""The application alone, where a process would leave to chance what is to be shown."""

import asyncio

import httpx
import pytest
from anyio.to_thread import current_default_thread_limiter

from breaker import AsyncBreaker
from breaker.service.app import create_app


async def test_it_is_alive_when_every_thread_waits_for_the_store() -> None:
    transport = httpx.ASGITransport(create_app("redis://127.0.0.1:1"))
    limiter = current_default_thread_limiter()
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        for waiting in range(int(limiter.total_tokens)):
            limiter.acquire_on_behalf_of_nowait(waiting)
        answer = await asyncio.wait_for(client.get("/healthz"), 10)
        assert answer.status_code == 200
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.get("/metrics"), 0.2)


async def test_a_large_fleet_travels_compressed(url: str, name: str) -> None:
    async with AsyncBreaker(name, url=url) as known:
        await known.record_success()
    transport = httpx.ASGITransport(create_app(url))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        answer = await client.get("/metrics", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert f'breaker_paused{{breaker="{name}"}} 0.0' in answer.text
