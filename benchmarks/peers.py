"""The same healthy call through other breakers that keep their state in Redis.

They protect calls rather than queues, and each is used as its own documentation shows, with its
own settings. What is compared is the price of a healthy call, not what it buys.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager
from importlib import import_module
from threading import Event, Thread
from time import perf_counter_ns
from typing import Any

import redis
import redis.asyncio

from benchmarks.figures import Figure, median_of
from benchmarks.store import quiet
from breaker import Breaker

NAME = "peers"
ROUNDS = 7
CALLS = 200
# Stands in the stream of MONITOR before and after what is counted.
MARK = "bench-mark"

Repeat = Callable[[int], None]
Notes = list[str]


def job() -> None:
    """A job that takes no time."""


async def job_async() -> None:
    """The same, awaited."""


def measure(url: str, notes: Notes) -> Iterator[Figure]:
    """Yield what a healthy call costs each; note those that are missing or fail."""
    with redis.Redis.from_url(url) as client, Breaker("peers", url=url) as breaker:
        client.set(MARK, 1)
        gets = [_each(lambda times: _get(client, times)) for _ in range(ROUNDS)]
        quiet(breaker)
        yield from _figures(url, "fleet-breaker", _fleet(breaker), gets)
        for title, module, build in PEERS:
            try:
                import_module(module)
            except ImportError:
                notes.append(f"{title} is not installed: left out")
                continue
            try:
                yield from _figures(url, title, build(client, url), gets)
            except Exception as error:  # noqa: BLE001 - another's failure is no end of ours
                notes.append(f"{title} failed here: {type(error).__name__}: {error}")


def _figures(url: str, title: str, repeat: Repeat, gets: list[float]) -> Iterator[Figure]:
    repeat(20)
    rounds = [_each(repeat) for _ in range(ROUNDS)]
    sent = _sent(url, repeat)
    yield median_of(NAME, f"{title}: a healthy call", "ns", rounds, against={"a raw GET": gets})
    how = f"exact, {CALLS} calls"
    yield Figure(
        NAME,
        f"{title}: commands sent",
        sent / CALLS,
        "commands/job",
        sent / CALLS,
        sent / CALLS,
        how,
    )


def _each(repeat: Repeat) -> float:
    began = perf_counter_ns()
    repeat(CALLS)
    return (perf_counter_ns() - began) / CALLS


def _get(client: redis.Redis, times: int) -> None:
    for _ in range(times):
        client.get(MARK)


def _sent(url: str, repeat: Repeat) -> int:
    """Count the commands that came over connections, as MONITOR tells; not those of scripts.

    PING is left out: it is the proof of life of a connection, sent by the second, not by the job.
    """
    kinds: list[str] = []
    listening, done = Event(), Event()

    def listen(monitor: AbstractContextManager[Any]) -> None:
        marks = 0
        with monitor as stream:
            listening.set()
            for told in stream.listen():
                if told["command"] == f"ECHO {MARK}":
                    marks += 1
                    if marks == 2:  # noqa: PLR2004 - the one before and the one after
                        done.set()
                        return
                elif marks and told["client_type"] != "lua":
                    kinds.append(told["command"].split(" ", 1)[0].upper())

    # A client apart: what is measured keeps its connections, and no handshake is counted.
    with redis.Redis.from_url(url) as observer:
        Thread(target=listen, args=(observer.monitor(),), daemon=True).start()
        listening.wait(5)
        observer.echo(MARK)
        repeat(CALLS)
        observer.echo(MARK)
        if not done.wait(5):
            message = "MONITOR did not tell of all commands"
            raise RuntimeError(message)
    return sum(kind != "PING" for kind in kinds)


def _fleet(breaker: Breaker) -> Repeat:
    def repeat(times: int) -> None:
        for _ in range(times):
            with breaker.guard():
                job()

    return repeat


def _pybreaker(client: redis.Redis, _: str) -> Repeat:
    module = import_module("pybreaker")
    storage = module.CircuitRedisStorage(module.STATE_CLOSED, client)
    breaker = module.CircuitBreaker(fail_max=5, reset_timeout=60, state_storage=storage)
    return _calls(lambda: breaker.call(job))


def _nopanic(client: redis.Redis, _: str) -> Repeat:
    module = import_module("nopanic_redis")
    return _calls(module.redis_circuit_breaker(client, name="bench")(job))


def _interlock(client: redis.Redis, _: str) -> Repeat:
    module = import_module("interlock")
    storage = import_module("interlock.integrations.redis").RedisStorage(client)
    return _calls(module.CircuitBreaker(name="bench", storage=storage)(job))


def _aiobreaker(client: redis.Redis, _: str) -> Repeat:
    """It awaits the job, but speaks to Redis with a client that blocks."""
    module = import_module("aiobreaker")
    storage = import_module("aiobreaker.storage.redis").CircuitRedisStorage(
        module.CircuitBreakerState.CLOSED, client
    )
    breaker = module.CircuitBreaker(fail_max=5, state_storage=storage)
    return _calls_async(lambda: _awaited(breaker))


async def _awaited(breaker: Any) -> Callable[[], Awaitable[Any]]:
    return lambda: breaker.call_async(job_async)


def _box(_: redis.Redis, url: str) -> Repeat:
    module = import_module("circuit_breaker_box")
    # It logs each call as a warning; to print those would be measured as well.
    logging.getLogger("circuit_breaker_box").setLevel(logging.ERROR)

    async def build() -> Callable[[], Awaitable[Any]]:
        breaker = module.CircuitBreakerRedis(
            redis_connection=redis.asyncio.Redis.from_url(url),
            reset_timeout_in_seconds=60,
            max_failure_count=5,
        )

        async def call() -> None:
            if await breaker.is_host_available("bench"):
                await job_async()

        return call

    return _calls_async(build)


def _calls(call: Callable[[], Any]) -> Repeat:
    def repeat(times: int) -> None:
        for _ in range(times):
            call()

    return repeat


def _calls_async(build: Callable[[], Awaitable[Callable[[], Awaitable[Any]]]]) -> Repeat:
    """Keep one event loop for all rounds: connections belong to it."""
    loop = asyncio.new_event_loop()
    call = loop.run_until_complete(_run(build))

    async def several(times: int) -> None:
        for _ in range(times):
            await call()

    def repeat(times: int) -> None:
        loop.run_until_complete(several(times))

    return repeat


async def _run(
    build: Callable[[], Awaitable[Callable[[], Awaitable[Any]]]],
) -> Callable[[], Awaitable[Any]]:
    return await build()


PEERS: tuple[tuple[str, str, Callable[[redis.Redis, str], Repeat]], ...] = (
    ("pybreaker", "pybreaker", _pybreaker),
    ("aiobreaker", "aiobreaker", _aiobreaker),
    ("nopanic-redis", "nopanic_redis", _nopanic),
    ("interlock-cb", "interlock", _interlock),
    ("circuit-breaker-box", "circuit_breaker_box", _box),
)
