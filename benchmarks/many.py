"""Many breakers: in one process, whose push has to be proven, and in one scrape."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import redis
from prometheus_client import CollectorRegistry, generate_latest

from benchmarks.distance import far
from benchmarks.figures import Figure, Target, median_of
from benchmarks.store import wait_until
from breaker import AsyncBreaker, Breaker
from breaker.metrics import Collector

NAME = "many breakers"
# Seconds of a round trip to a store in another zone.
FAR = 0.008
PROVEN = 10_000
SCRAPED = 1000
ROUNDS = 5
TASKS = 10_000


def measure(url: str) -> Iterator[Figure]:
    """Yield how soon many names are proven, what they then cost, and how long a scrape takes."""
    with far(url, FAR) as far_url:
        yield from _proven(url, far_url)
        yield from _scraped(url, far_url)
    yield asyncio.run(_pushed(url))


def _proven(url: str, far_url: str) -> Iterator[Figure]:
    breakers = [Breaker(f"many-{number}", url=far_url) for number in range(PROVEN)]
    began = time.monotonic()
    breakers[0].is_paused()
    wait_until(lambda: all(one.staleness is not None for one in breakers), "all are proven")
    took = time.monotonic() - began
    where = f"{PROVEN:,} names, {FAR * 1000:g} ms away"
    yield _once(f"push proven, {where}", took, "s", Target(10.0))
    with redis.Redis.from_url(url) as client:
        before, began, used = _commands(client), time.monotonic(), time.process_time()
        time.sleep(PROVEN / 1000)
        lasted = time.monotonic() - began
        asked = (_commands(client) - before) / lasted
        yield _once(f"push idle, {where}", asked, "commands/s", None)
        share = (time.process_time() - used) / lasted * 100
        yield _once(f"push idle, {where}: this process", share, "% of a processor", None)
    for one in breakers:
        one.close()


def _scraped(url: str, far_url: str) -> Iterator[Figure]:
    for number in range(SCRAPED):
        with Breaker(f"scraped-{number}", url=url, prefix="scraped", push=False) as one:
            one.record_success()
    for where, there, limit in (("loopback", url, 0.3), (f"{FAR * 1000:g} ms", far_url, 0.5)):
        registry = CollectorRegistry()
        with closing(Collector(there, prefix="scraped")) as collector:
            registry.register(collector)
            rounds = [_timed(lambda: generate_latest(registry)) for _ in range(ROUNDS)]  # noqa: B023 - called at once
        what = f"a scrape of {SCRAPED:,} names, {where}"
        yield median_of(NAME, what, "s", rounds, target=Target(limit))


async def _pushed(url: str) -> Figure:
    """How long it takes until the last of many waiting tasks goes on after a push."""
    with Breaker("many-tasks", url=url, push=False) as operator:
        operator.pause()
        return await _released(url, operator)


async def _released(url: str, operator: Breaker) -> Figure:
    async with AsyncBreaker("many-tasks", url=url) as breaker:
        waiting = [asyncio.create_task(breaker.wait()) for _ in range(TASKS)]
        await asyncio.sleep(1.0)
        began = time.monotonic()
        # From a thread: ten thousand tasks hold up the loop for longer than a command may take.
        await asyncio.to_thread(operator.resume)
        await asyncio.gather(*waiting)
        took = time.monotonic() - began
    return _once(f"push to {TASKS:,} waiting tasks, until the last goes on", took, "s", None)


def _commands(client: redis.Redis) -> int:
    counted: dict[str, dict[str, int]] = client.info("commandstats")
    return sum(one["calls"] for one in counted.values())


def _timed(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def _once(what: str, value: float, unit: str, target: Target | None) -> Figure:
    return Figure(NAME, what, value, unit, value, value, "1 run", target=target)
