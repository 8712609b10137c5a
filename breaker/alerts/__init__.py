"""Alerts: a log line for each transition, and one Sentry warning for each trip."""

import math
import threading
from time import monotonic

from breaker import forking
from breaker.alerts import log, sentry
from breaker.model import Transition

__all__ = ["tell"]

# Seconds within which all breakers of one name in this process notice that the state was lost: by a
# heartbeat within a second, or by a reading of the whole state, which comes every 15 to 30 s.
SAME_LOSS = 30.0

_losses: dict[str, float] = {}
_lock = threading.Lock()


def tell(transitions: tuple[Transition, ...]) -> None:
    """Log each transition; alert on a trip. Called once per transition in the whole fleet.

    A trip of a worker's local breaker, while the store is down, is logged but not alerted: all
    workers have one.
    """
    for transition in transitions:
        if transition.event == "state-lost" and _is_told(transition.name):
            continue
        if transition.event == "tripped" and not transition.is_local:
            with sentry.no_second_event():
                log.write(transition)
            sentry.warn(transition)
        else:
            log.write(transition)


def _is_told(name: str) -> bool:
    """Whether another breaker of that name has just told of the same loss."""
    now = monotonic()
    with _lock:
        before, _losses[name] = _losses.get(name, -math.inf), now
    return now - before < SAME_LOSS


@forking.in_child
def _after_fork() -> None:
    global _lock  # noqa: PLW0603 - another thread may have held it at the fork
    _lock = threading.Lock()
