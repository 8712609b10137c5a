"""What the guard adds to a call: rounds of guarded and bare calls, taken in turns."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from time import monotonic, perf_counter_ns
from types import TracebackType
from typing import Self

import redis
import redis.asyncio

from benchmarks.figures import Figure, Target, median_of
from benchmarks.store import is_quiet, quiet, wait_until
from breaker import AsyncBreaker, Breaker

NAME = "overhead"
ROUNDS = 41
CALLS = 10_000
GETS = 500  # a round trip takes far longer, and needs fewer for as good a mean


class Clocked:
    """The least that any guard costs: a context manager that looks at the clock once."""

    __slots__ = ("began",)

    def __enter__(self) -> Self:
        self.began = monotonic()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass


def call() -> None:
    """A job that takes no time, so that only what is around it is seen."""


async def call_async() -> None:
    """The same, awaited."""


def measure(url: str) -> Iterator[Figure]:
    """Yield what the guard adds to a call, blocking and awaited."""
    yield from _blocking(url)
    yield from asyncio.run(_awaited(url))


def _each(calls: int, repeat: Callable[[int], None]) -> float:
    """Nanoseconds for each of `count` calls."""
    began = perf_counter_ns()
    repeat(calls)
    return (perf_counter_ns() - began) / calls


async def _each_async(calls: int, repeat: Callable[[int], Awaitable[None]]) -> float:
    began = perf_counter_ns()
    await repeat(calls)
    return (perf_counter_ns() - began) / calls


def _within(manager: Callable[[], AbstractContextManager[object]], calls: int) -> None:
    for _ in range(calls):
        with manager():
            call()


def _blocking(url: str) -> Iterator[Figure]:
    with redis.Redis.from_url(url) as client, Breaker("overhead", url=url) as breaker:
        quiet(breaker)
        client.set("bench-value", 1)

        def bare(calls: int) -> None:
            for _ in range(calls):
                call()

        def asked(calls: int) -> None:
            for _ in range(calls):
                breaker.is_paused()

        def got(calls: int) -> None:
            for _ in range(calls):
                client.get("bench-value")

        rows = [
            (
                _each(CALLS, bare),
                _each(CALLS, partial(_within, breaker.guard)),
                _each(CALLS, partial(_within, Clocked)),
                _each(CALLS, asked),
                _each(GETS, got),
            )
            for _ in range(ROUNDS)
        ]
    plain, with_guard, with_clock, asking, gets = (list(row) for row in zip(*rows, strict=True))
    yield from _figures("sync", plain, with_guard, gets, Target(1000.0))
    times = [
        (guard - bare) / (clock - bare)
        for bare, guard, clock in zip(plain, with_guard, with_clock, strict=True)
    ]
    what = "sync guard / a context manager that looks at the clock"
    yield median_of(NAME, what, "x", times, target=Target(2.0))
    against = {"a raw GET": gets}
    yield median_of(
        NAME, "one `is_paused()`", "ns", asking, against=against, target=Target(100.0)
    )


async def _awaited(url: str) -> list[Figure]:
    client = redis.asyncio.Redis.from_url(url)
    rows = []
    async with client, AsyncBreaker("overhead-async", url=url) as breaker:
        await (await breaker.acquire()).success()
        await asyncio.to_thread(wait_until, lambda: is_quiet(breaker), "the breaker is quiet")

        async def bare(calls: int) -> None:
            for _ in range(calls):
                await call_async()

        async def guarded(calls: int) -> None:
            for _ in range(calls):
                async with breaker.guard():
                    await call_async()

        async def got(calls: int) -> None:
            for _ in range(calls):
                await client.get("bench-value")

        for _ in range(ROUNDS):
            rows.append(  # noqa: PERF401 - the awaits are to be seen to come in turns
                (
                    await _each_async(CALLS, bare),
                    await _each_async(CALLS, guarded),
                    await _each_async(GETS, got),
                )
            )
    plain, with_guard, gets = (list(column) for column in zip(*rows, strict=True))
    return list(_figures("async", plain, with_guard, gets, Target(2000.0)))


def _figures(
    kind: str,
    plain: list[float],
    guarded: list[float],
    gets: list[float],
    target: Target,
) -> Iterator[Figure]:
    added = [one - other for one, other in zip(guarded, plain, strict=True)]
    yield median_of(
        NAME,
        f"{kind} guard, over the unguarded call",
        "ns",
        added,
        against={"a raw GET": gets},
        target=target,
    )
    yield median_of(
        NAME, f"{kind} guarded call", "ns", guarded, against={"the unguarded call": plain}
    )
    yield median_of(NAME, f"{kind} raw GET, for comparison", "ns", gets)
