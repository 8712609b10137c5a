"""One structured log line for each transition, on the logger `breaker`."""

import logging
from dataclasses import asdict

from breaker.model import Transition
from breaker.transitions import level_of

LOGGER = logging.getLogger("breaker")


def write(transition: Transition) -> None:
    """Log a transition; its fields are in the record's `breaker` attribute.

    There is no attribute `event`: structlog would print that in place of the message.
    """
    LOGGER.log(
        level_of(transition.event),
        describe(transition),
        extra={"breaker": asdict(transition), "queue": transition.name},
    )


def describe(transition: Transition) -> str:
    """Say in one line what happened, why, and for how long."""
    words = [f"{transition.name}: {transition.event}"]
    if transition.is_shadow:
        words.append("(shadow mode, not paused)")
    if transition.is_local:
        words.append("(local breaker of this worker: the store is down)")
    if transition.before and transition.before != transition.after:
        words.append(f"{transition.before} -> {transition.after}")
    if transition.pause is not None:
        words.append(f"for {transition.pause:g} s")
    if transition.reason:
        words.append(f"- {transition.reason}")
    if transition.by:
        words.append(f"(by {transition.by})")
    if transition.replaces:
        words.append(f"(it was {transition.replaces})")
    return " ".join(words)
