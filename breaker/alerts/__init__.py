"""What people are told of transitions: the log, and one Sentry warning for each trip."""

from breaker.alerts import log, sentry
from breaker.model import Transition

__all__ = ["tell"]


def tell(transitions: tuple[Transition, ...]) -> None:
    """Log each transition; alert of a trip. Called once per transition in the whole fleet."""
    for transition in transitions:
        log.write(transition)
        if transition.event == "tripped":
            sentry.warn(transition)
