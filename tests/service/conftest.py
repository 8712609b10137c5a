"""The application in this process, with a client that talks to it as from this machine."""

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from breaker.service.access import Tokens
from breaker.service.app import create_app


def client_of(app: Any, address: str = "127.0.0.1", **headers: str) -> httpx.AsyncClient:
    """A client that comes from this address."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(address, 1))
    return httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers)


@pytest.fixture
async def api(url: str) -> AsyncIterator[httpx.AsyncClient]:
    """The API on the tests' store, without tokens."""
    app = create_app(url)
    async with app.router.lifespan_context(app), client_of(app) as client:
        yield client


@pytest.fixture
async def with_tokens(url: str) -> AsyncIterator[Callable[..., Any]]:
    """Make an application with these tokens."""
    async with contextlib.AsyncExitStack() as opened:
        made = []

        def make(**given: Any) -> Any:
            made.append(create_app(url, tokens=Tokens(**given)))
            return made[-1]

        yield make
        for app in made:
            await opened.enter_async_context(app.router.lifespan_context(app))
