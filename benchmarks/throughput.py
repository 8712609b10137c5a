"""How fast eight processes drain a list, with and without the guard, in turns."""

from collections.abc import Iterator
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier

import redis

from benchmarks.crew import PATIENCE, SPAWN, Crew, now
from benchmarks.figures import Figure, Target, median_of
from benchmarks.store import quiet
from breaker import Breaker

NAME = "throughput"
QUEUE = "bench-jobs"
WORKERS = 8
JOBS = 12_000
PAIRS = 6


def measure(url: str) -> Iterator[Figure]:
    """Yield jobs per second, bare and guarded, and what share of the speed is left."""
    rates: dict[bool, list[float]] = {False: [], True: []}
    start = SPAWN.Barrier(WORKERS)
    with redis.Redis.from_url(url) as client, Crew(WORKERS, _member, url, start) as crew:
        crew.ask(False)  # a round that is not counted: connections open, code gets warm
        for pair in range(PAIRS):
            # Each goes first in every other pair: a machine that slows down favours neither.
            for is_guarded in (bool(pair % 2), not pair % 2):
                rates[is_guarded].append(_drain(client, crew, is_guarded=is_guarded))
    shares = [one / other for one, other in zip(rates[True], rates[False], strict=True)]
    yield median_of(NAME, f"{WORKERS} processes, unguarded", "jobs/s", rates[False])
    yield median_of(NAME, f"{WORKERS} processes, guarded", "jobs/s", rates[True])
    yield median_of(
        NAME,
        "guarded / unguarded, pair by pair",
        "x",
        shares,
        target=Target(0.97, is_least=True),
    )


def _drain(client: redis.Redis, crew: Crew, *, is_guarded: bool) -> float:
    """Jobs per second, from the first worker's start to the last one's end."""
    for _ in range(JOBS // 1000):
        client.rpush(QUEUE, *(["job"] * 1000))
    spans: list[tuple[float, float, int]] = crew.ask(is_guarded)
    done = sum(span[2] for span in spans)
    if done != JOBS:
        message = f"{done} of {JOBS} jobs were done"
        raise RuntimeError(message)
    return JOBS / (max(span[1] for span in spans) - min(span[0] for span in spans))


def _member(connection: Connection, _: int, url: str, start: Barrier) -> None:
    """Drain the list as often as asked to. An unguarded round has no breaker in the process."""
    with redis.Redis.from_url(url) as client:
        while True:
            try:
                is_guarded = connection.recv()
            except EOFError:
                return
            if is_guarded:
                with Breaker(QUEUE, url=url) as breaker:
                    quiet(breaker)
                    start.wait(PATIENCE)
                    connection.send(_guarded(client, breaker))
            else:
                start.wait(PATIENCE)
                connection.send(_bare(client))


def _bare(client: redis.Redis) -> tuple[float, float, int]:
    done, began = 0, now()
    while client.lpop(QUEUE) is not None:
        done += 1
    return began, now(), done


def _guarded(client: redis.Redis, breaker: Breaker) -> tuple[float, float, int]:
    """The loop of the README: ask, dequeue, work under the guard."""
    done, began = 0, now()
    while True:
        breaker.wait()
        if client.lpop(QUEUE) is None:
            return began, now(), done
        with breaker.guard():
            done += 1
