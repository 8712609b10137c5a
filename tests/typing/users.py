"""A user's file, which is never run: `make check` holds its types, strictly.

An ignored error is one that has to be there: mypy complains about an ignore that it does not need.
"""

from collections.abc import Coroutine
from typing import Any, assert_type

import httpx

from breaker import AsyncBreaker, Breaker, RateLimit, Status, rate_limit
from breaker.http.httpx import AsyncTransport, Transport
from breaker.testing import MemoryBreaker

content = Breaker("content", threshold=3, recovery="probe", mode="shadow", on_overload="ignore")
awaited = AsyncBreaker("content")


@content
def write(title: str, *, words: int = 100) -> list[str]:
    return [title] * words


@awaited
async def fetch(title: str) -> bytes:
    return title.encode()


def calls() -> None:
    assert_type(write("a", words=3), list[str])
    assert_type(content.status(), Status)
    assert_type(rate_limit(OSError()), RateLimit | None)
    write(1)  # type: ignore[arg-type] # a title is a str
    write("a", word=3)  # type: ignore[call-arg] # there is no such argument
    with content.guard() as permit:
        permit.success()


async def awaited_calls() -> None:
    begun: Coroutine[Any, Any, bytes] = fetch("a")
    assert_type(await begun, bytes)
    assert_type(await fetch("a"), bytes)
    await fetch(1)  # type: ignore[arg-type] # a title is a str
    assert_type(await awaited.status(), Status)
    async with awaited.guard() as permit:
        await permit.success()


def rule(error: BaseException) -> RateLimit | None:
    return RateLimit("overload") if isinstance(error, OSError) else None


def options() -> None:
    Breaker("content", classify=rule, count=(KeyError,), ignore=[OSError])
    Breaker("content", recovery="slowly")  # type: ignore[arg-type] # not one of the choices
    Breaker("content", mode="off")  # type: ignore[arg-type] # not one of the choices
    Breaker("content", on_overload="never")  # type: ignore[arg-type] # not one of the choices
    Breaker("content", limit=3)  # type: ignore[call-arg] # there is no such option
    RateLimit("slow")  # type: ignore[arg-type] # not one of the kinds


def clients() -> None:
    httpx.Client(transport=Transport(content))
    httpx.AsyncClient(transport=AsyncTransport(awaited))
    Transport(awaited)  # type: ignore[arg-type] # it blocks
    MemoryBreaker("content", threshold=2).force("ajar")  # type: ignore[arg-type] # no such state
