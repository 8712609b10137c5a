"""The server's processor time for a job and for a trip, from INFO cpu."""

import contextlib
from collections.abc import Callable, Iterator
from uuid import uuid4

import redis

from benchmarks.figures import Figure, median_of
from benchmarks.store import cpu_seconds, quiet
from breaker import Breaker

NAME = "server cpu"
ROUNDS = 7
QUIET_JOBS = 50_000
ASKED_JOBS = 1000
TRIPS = 150
LISTENERS = 16


def measure(url: str) -> Iterator[Figure]:
    """Yield microseconds of the server's time: per job, per trip, and per LPOP to compare."""
    with redis.Redis.from_url(url) as client, contextlib.ExitStack() as stack:
        pops = [_lpops(client) for _ in range(ROUNDS)]
        against = {"an LPOP": pops}
        yield median_of(NAME, "one LPOP, for comparison", "us", pops)
        guard = stack.enter_context(Breaker("cpu-quiet", url=url))
        yield _jobs(client, quiet(guard), "one quiet job", QUIET_JOBS, against)
        asking = stack.enter_context(Breaker("cpu-asking", url=url, push=False))
        asking.acquire().success()
        yield _jobs(client, asking, "one job with push=False", ASKED_JOBS, against)
        trips = [_trips(client, url) for _ in range(ROUNDS)]
        yield median_of(NAME, "one trip, no listeners", "us", trips, against=against)
        for _ in range(LISTENERS):
            # What a trip costs the server does not depend on who listens.
            listener = stack.enter_context(client.pubsub())
            listener.psubscribe("*")
            listener.get_message(timeout=1)
        trips = [_trips(client, url) for _ in range(ROUNDS)]
        what = f"one trip, {LISTENERS} connections listening"
        yield median_of(NAME, what, "us", trips, against=against)


def _each(client: redis.Redis, times: int, work: Callable[[], object]) -> float:
    """Microseconds of the server's time for each call."""
    before = cpu_seconds(client)
    for _ in range(times):
        work()
    return (cpu_seconds(client) - before) / times * 1e6


def _lpops(client: redis.Redis) -> float:
    client.rpush("bench-cpu", *(["job"] * ASKED_JOBS))
    return _each(client, ASKED_JOBS, lambda: client.lpop("bench-cpu"))


def _jobs(
    client: redis.Redis,
    breaker: Breaker,
    what: str,
    times: int,
    against: dict[str, list[float]],
) -> Figure:
    def job() -> None:
        with breaker.guard():
            pass

    rounds = [_each(client, times, job) for _ in range(ROUNDS)]
    return median_of(NAME, what, "us", rounds, against=against)


def _trips(client: redis.Redis, url: str) -> float:
    """Each trip is another breaker's, so that nothing but trips is counted."""
    with contextlib.ExitStack() as stack:
        fresh = [
            stack.enter_context(Breaker(f"cpu-{uuid4().hex}", url=url, threshold=1, push=False))
            for _ in range(TRIPS)
        ]
        for breaker in fresh:
            breaker.acquire().success()  # known to the store, as any worker's breaker is
        left = iter(fresh)
        return _each(client, TRIPS, lambda: next(left).record_rate_limit_error())
