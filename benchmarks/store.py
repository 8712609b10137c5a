"""What the measures ask the server, and how they wait for a breaker."""

import time
from collections.abc import Callable
from typing import Any

import redis

from breaker import AsyncBreaker, Breaker

# A worker believes that all is calm some seconds after the last word of an error.
PATIENCE = 15.0


def scripts_run(client: redis.Redis) -> int:
    """How many EVALSHA and EVAL the server has had, from everybody."""
    counted: Any = client.info("commandstats")
    return sum(
        counted.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("evalsha", "eval")
    )


def cpu_seconds(client: redis.Redis) -> float:
    """The processor time that the server has used, in user and kernel mode."""
    used: Any = client.info("cpu")
    return float(used["used_cpu_user"]) + float(used["used_cpu_sys"])


def wait_until(look: Callable[[], bool], what: str) -> None:
    """Return when `look` is true.

    Raises:
        TimeoutError: it did not become so.
    """
    deadline = time.monotonic() + PATIENCE
    while not look():
        if time.monotonic() > deadline:
            message = f"not within {PATIENCE:g} s: {what}"
            raise TimeoutError(message)
        time.sleep(0.001)


def is_quiet(breaker: Breaker | AsyncBreaker) -> bool:
    """Whether its successes need not be sent. There is no public word for it: it is a detail."""
    watch = breaker._watch  # noqa: SLF001 - see above
    return watch is not None and watch.is_quiet()


def quiet(breaker: Breaker) -> Breaker:
    """Make a worker known, and wait until it answers from memory."""
    breaker.acquire().success()
    wait_until(lambda: is_quiet(breaker), "the breaker is quiet")
    return breaker
