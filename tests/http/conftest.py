"""Each client with its hook, driven as if all of them were sync."""

import asyncio
from types import SimpleNamespace
from typing import Any

import aiohttp
import httpx
import pytest
import requests

from breaker import AsyncBreaker, Breaker
from breaker.http.aiohttp import middleware
from breaker.http.httpx import AsyncTransport, Transport
from breaker.http.requests import Adapter
from tests.http.upstream import serving


@pytest.fixture
def upstream():
    with serving() as running:
        yield running


class Client:
    """One client: `get` answers with status, headers and body."""

    is_async = False
    push = True  # one client of each kind has it

    def __init__(self, make: Any, given: dict[str, Any]) -> None:
        self.breaker = make(**given)

    def guarded(self, *urls: str, raises: bool = True) -> list[Any]:
        """Get some URLs within one guard; an error is raised, if it should be."""
        with self.breaker.guard():
            return [self._checked(self.get(url), raises) for url in urls]

    def call(self, method: str, *args: Any, **given: Any) -> Any:
        return getattr(self.breaker, method)(*args, **given)

    @staticmethod
    def _checked(found: Any, raises: bool) -> Any:
        if found.status >= 400 and raises:
            error = RuntimeError("failed")
            error.response = SimpleNamespace(status_code=found.status, headers=found.headers)
            raise error
        return found

    def close(self) -> None:
        self.breaker.close()


class Httpx(Client):
    def __init__(self, make: Any, hook: dict[str, Any], given: dict[str, Any]) -> None:
        super().__init__(make, given)
        self.client = httpx.Client(
            transport=Transport(self.breaker, **hook), follow_redirects=True, timeout=5
        )

    def get(self, url: str, timeout: float = 5) -> Any:
        found = self.client.get(url, timeout=timeout)
        return SimpleNamespace(
            status=found.status_code, headers=found.headers, body=found.content
        )

    def close(self) -> None:
        self.client.close()
        super().close()


class Requests(Client):
    push = False

    def __init__(self, make: Any, hook: dict[str, Any], given: dict[str, Any]) -> None:
        super().__init__(make, given)
        self.client = requests.Session()
        self.client.mount("http://", Adapter(self.breaker, **hook))

    def get(self, url: str, timeout: float = 5) -> Any:
        found = self.client.get(url, timeout=timeout)
        return SimpleNamespace(
            status=found.status_code, headers=found.headers, body=found.content
        )

    def close(self) -> None:
        self.client.close()
        super().close()


class Asynchronous(Client):
    is_async = True

    def __init__(self, make: Any, hook: dict[str, Any], given: dict[str, Any]) -> None:
        super().__init__(make, given)
        self.loop = asyncio.new_event_loop()
        self.hook = hook

    def get(self, url: str, timeout: float = 5) -> Any:
        return self.loop.run_until_complete(self.fetch(url, timeout))

    def guarded(self, *urls: str, raises: bool = True) -> list[Any]:
        async def run() -> list[Any]:
            async with self.breaker.guard():
                return [self._checked(await self.fetch(url), raises) for url in urls]

        return self.loop.run_until_complete(run())

    def call(self, method: str, *args: Any, **given: Any) -> Any:
        return self.loop.run_until_complete(getattr(self.breaker, method)(*args, **given))

    async def fetch(self, url: str, timeout: float = 5) -> Any:
        raise NotImplementedError

    def close(self) -> None:
        self.loop.run_until_complete(self.breaker.close())
        self.loop.close()


class HttpxAsync(Asynchronous):
    push = False

    async def fetch(self, url: str, timeout: float = 5) -> Any:
        transport = AsyncTransport(self.breaker, **self.hook)
        async with httpx.AsyncClient(transport=transport, follow_redirects=True) as client:
            found = await client.get(url, timeout=timeout)
            return SimpleNamespace(
                status=found.status_code, headers=found.headers, body=found.content
            )


class Aiohttp(Asynchronous):
    async def fetch(self, url: str, timeout: float = 5) -> Any:
        hook = middleware(self.breaker, **self.hook)
        limit = aiohttp.ClientTimeout(total=timeout)
        async with aiohttp.ClientSession(middlewares=[hook], timeout=limit) as client:
            async with client.get(url) as found:
                body = await found.read()
            return SimpleNamespace(status=found.status, headers=found.headers, body=body)


@pytest.fixture(params=[Httpx, HttpxAsync, Requests, Aiohttp])
def client(request, name, url):
    """Make one of the clients: `client(timeout=3, threshold=2)`."""
    made = []

    def make(timeout: float | None = 0.0, **given: Any) -> Any:
        kind = AsyncBreaker if request.param.is_async else Breaker
        options = {
            "url": url,
            "push": request.param.push,
            "threshold": 3,
            "worker": "w1",
        } | given
        made.append(
            request.param(lambda **more: kind(name, **more), {"timeout": timeout}, options)
        )
        return made[-1]

    yield make
    for each in made:
        each.close()
