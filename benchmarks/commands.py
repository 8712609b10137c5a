"""How many scripts the store runs for a job, counted by itself, in every situation."""

import contextlib
import time
from collections.abc import Iterator

import redis

from benchmarks.figures import Figure, Target, median_of
from benchmarks.store import is_quiet, quiet, scripts_run, wait_until
from breaker import Breaker, BreakerOpen

NAME = "commands"
JOBS = 1000
ALERTS = 20
PACED = 100
RECOVERIES = 10


def measure(url: str) -> Iterator[Figure]:
    """Yield the commands per job while quiet, alert, open and half-open."""
    with redis.Redis.from_url(url) as client:
        yield from _quiet(url, client)
        yield from _alert(url, client)
        yield from _open(url, client)
        yield from _half_open(url, client)
        yield from _paced(url, client)
        yield from _without_push(url, client)


def _quiet(url: str, client: redis.Redis) -> Iterator[Figure]:
    with Breaker("quiet", url=url) as breaker:
        quiet(breaker)
        before = scripts_run(client)
        for _ in range(JOBS):
            breaker.wait()
            with breaker.guard():
                pass
        ran = scripts_run(client) - before
    yield _counted("quiet", [ran / JOBS], f"{JOBS} jobs", 0)


def _alert(url: str, client: redis.Redis) -> Iterator[Figure]:
    ran = []
    with Breaker("alert", url=url) as breaker, Breaker("alert", url=url, push=False) as other:
        quiet(breaker)
        for _ in range(ALERTS):
            other.record_rate_limit_error()
            wait_until(lambda: not is_quiet(breaker), "the error is heard of")
            before = scripts_run(client)
            with breaker.guard():
                pass
            ran.append(float(scripts_run(client) - before))
        # How long it goes on: each error makes successes be sent for a while after it.
        other.record_rate_limit_error()
        began = time.monotonic()
        wait_until(lambda: not is_quiet(breaker), "the error is heard of")
        breaker.acquire().success()
        wait_until(lambda: is_quiet(breaker), "the breaker is quiet again")
        lasted = time.monotonic() - began
    yield _counted("alert", ran, f"{ALERTS} jobs", 1)
    yield Figure(NAME, "alert, after the last error", lasted, "s", lasted, lasted, "1 run")


def _open(url: str, client: redis.Redis) -> Iterator[Figure]:
    with Breaker("open", url=url, threshold=1, cooldown=60) as breaker:
        quiet(breaker)
        breaker.record_rate_limit_error()
        before = scripts_run(client)
        for _ in range(JOBS):
            breaker.is_paused()
            with contextlib.suppress(BreakerOpen):
                breaker.acquire(timeout=0)
        ran = scripts_run(client) - before
    yield _counted("open", [ran / JOBS], f"{JOBS} attempts", 0)


def _half_open(url: str, client: redis.Redis) -> Iterator[Figure]:
    ran = []
    options = {"threshold": 1, "cooldown": 0.2, "recovery": "probe"}
    with Breaker("half-open", url=url, **options) as breaker:
        quiet(breaker)
        for _ in range(RECOVERIES):
            status = breaker.record_rate_limit_error()
            # Sleep, do not ask: a look at the end of the pause costs a command.
            time.sleep((status.resumes_in or 0.0) + 0.01)
            before = scripts_run(client)
            with breaker.guard():
                pass
            ran.append(float(scripts_run(client) - before))
    yield _counted("half-open (the probe)", ran, f"{RECOVERIES} recoveries", None)


def _paced(url: str, client: redis.Redis) -> Iterator[Figure]:
    left = {"RateLimit-Limit": "9999", "RateLimit-Remaining": "900", "RateLimit-Reset": "9"}
    with Breaker("paced", url=url) as breaker:
        quiet(breaker)
        breaker.observe(left)  # a hundred jobs a second
        with breaker.guard():
            pass
        before = scripts_run(client)
        for _ in range(PACED):
            with breaker.guard():
                pass
        ran = scripts_run(client) - before
    yield _counted("half-open, paced", [ran / PACED], f"{PACED} jobs", 1)


def _without_push(url: str, client: redis.Redis) -> Iterator[Figure]:
    with Breaker("asking", url=url, push=False) as breaker:
        breaker.acquire().success()
        before = scripts_run(client)
        for _ in range(JOBS):
            with breaker.guard():
                pass
        ran = scripts_run(client) - before
    yield _counted("closed, with push=False", [ran / JOBS], f"{JOBS} jobs", None)


def _counted(what: str, ran: list[float], how: str, limit: float | None) -> Figure:
    target = None if limit is None else Target(limit)
    figure = median_of(NAME, what, "commands/job", ran, target=target)
    mean = sum(ran) / len(ran)  # a count has no outliers to be kept out
    return Figure(
        NAME, what, mean, figure.unit, min(ran), max(ran), f"exact, {how}", target=target
    )
