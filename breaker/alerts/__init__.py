"""What people are told of transitions: the log, and one Sentry warning for each trip."""

from breaker.alerts import log, sentry
from breaker.model import Transition

__all__ = ["tell"]


def tell(transitions: tuple[Transition, ...]) -> None:
    """Log each transition; alert of a trip. Called once per transition in the whole fleet.

    What a worker did alone while the store was down is logged, not alerted: all of them do so.
    """
    for transition in transitions:
        if transition.event == "tripped" and not transition.is_local:
            with sentry.no_second_event():
                log.write(transition)
            sentry.warn(transition)
        else:
            log.write(transition)
