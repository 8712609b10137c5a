"""Alerts: a log line for each transition, and one Sentry warning for each trip."""

from breaker.alerts import log, sentry
from breaker.model import Transition

__all__ = ["tell"]


def tell(transitions: tuple[Transition, ...]) -> None:
    """Log each transition; alert on a trip. Called once per transition in the whole fleet.

    A trip of a worker's local breaker, while the store is down, is logged but not alerted: all
    workers have one.
    """
    for transition in transitions:
        if transition.event == "tripped" and not transition.is_local:
            with sentry.no_second_event():
                log.write(transition)
            sentry.warn(transition)
        else:
            log.write(transition)
