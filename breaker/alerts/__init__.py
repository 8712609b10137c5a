"""Alerts: a log line for each transition, and one Sentry warning for each trip."""

import math
from time import monotonic

from breaker.alerts import log, sentry
from breaker.model import Transition

__all__ = ["tell"]

# Seconds within which all breakers of one name in this process notice that the state was lost.
SAME_LOSS = 10.0

_losses: dict[str, float] = {}


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
    before, _losses[name] = _losses.get(name, -math.inf), now
    return now - before < SAME_LOSS
