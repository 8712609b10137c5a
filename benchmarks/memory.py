"""Memory: of a breaker in the store, and of the guard in a worker."""

import json
import subprocess
import sys
from collections.abc import Iterator

import redis

from benchmarks.figures import Figure, median_of
from breaker import Breaker

NAME = "memory"
WORKERS = 5
TRIPS = 20


def measure(url: str) -> Iterator[Figure]:
    """Yield bytes per breaker in three states of its life, and KiB per worker."""
    with (
        redis.Redis.from_url(url) as client,
        Breaker("memory", url=url, threshold=5, push=False) as breaker,
    ):
        breaker.acquire().success()
        yield _held(client, "a breaker in the store, healthy")
        for _ in range(5):
            breaker.record_rate_limit_error()
        yield _held(client, "a breaker in the store, just tripped by 5 errors")
        for _ in range(TRIPS - 1):
            breaker.resume()
            for _ in range(5):
                breaker.record_rate_limit_error()
        yield _held(client, f"a breaker in the store, {TRIPS} trips within the last minute")
    workers = [_worker(url) for _ in range(WORKERS)]
    for what in workers[0]:
        yield median_of(NAME, what, "KiB", [worker[what] for worker in workers])


def _held(client: redis.Redis, what: str) -> Figure:
    keys = list(client.scan_iter(match="breaker:{memory}:*", count=1000))
    size = float(sum(client.memory_usage(key, samples=0) or 0 for key in keys))
    return Figure(NAME, what, size, "bytes", size, size, f"exact, {len(keys)} keys")


def _worker(url: str) -> dict[str, float]:
    """Ask a process of its own, which has loaded nothing else."""
    asked = [sys.executable, "-m", "benchmarks.resident", url]
    done = subprocess.run(asked, capture_output=True, check=True, timeout=30)  # noqa: S603 - ourselves
    grown: dict[str, float] = json.loads(done.stdout)
    return grown
