"""pybreaker with its state in Redis, used as its documentation shows."""

import contextlib
import threading
import time
from importlib import import_module
from typing import Any

import redis

from benchmarks.recovery.calls import Call, Place

FAILURES = 5
# A refused worker looks again after this; pybreaker itself has no way to wait.
AGAIN = 0.1


class RateLimited(Exception):  # noqa: N818 - what was answered, not a mistake
    """The upstream answered 429."""


class PyBreakerGate:
    """One breaker per thread over one state: it holds a lock for as long as a call takes."""

    def __init__(self, place: Place) -> None:
        self._module = import_module("pybreaker")
        self._client = redis.Redis.from_url(place.url)
        self._place = place
        self._local = threading.local()

    def run(self, call: Call) -> None:
        """Call through the breaker, which counts what is raised."""
        called = False

        def job() -> None:
            nonlocal called
            called = True
            if not call().ok:
                raise RateLimited

        with contextlib.suppress(RateLimited, self._module.CircuitBreakerError):
            self._own().call(job)
        if not called:
            time.sleep(AGAIN)

    def _own(self) -> Any:
        if not hasattr(self._local, "breaker"):
            storage = self._module.CircuitRedisStorage(
                self._module.STATE_CLOSED, self._client, namespace=self._place.name
            )
            self._local.breaker = self._module.CircuitBreaker(
                fail_max=FAILURES, reset_timeout=self._place.cooldown, state_storage=storage
            )
        return self._local.breaker
