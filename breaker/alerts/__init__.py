"""Alerts: a log line for each transition, and what the channels are to be told of it."""

import logging
from collections.abc import Sequence
from typing import Any

from breaker.alerts import log, sentry
from breaker.protocol.requests import Tell
from breaker.store.target import Target

__all__ = ["check", "tell"]

_LOGGER = logging.getLogger("breaker")


def tell(told: Tell, target: Target) -> None:
    """Log what this process has changed, and have the couriers send it to the channels.

    A trip of a worker's local breaker, while the store is down, is only logged: all workers have
    one. Never raises: an alert must not break a job.
    """
    try:
        _tell(told, target)
    except Exception:
        _LOGGER.exception("%s: telling of a transition failed", told.keys.name)


def _tell(told: Tell, target: Target) -> None:
    from breaker.alerts import outbox  # noqa: PLC0415 - not before the first transition

    is_local = False
    for transition in told.transitions:
        is_local = is_local or transition.is_local
        with sentry.no_second_event(transition):
            is_written = log.write(transition)
        if is_written and transition.event == "state-lost":
            outbox.note_loss(target, told.keys, transition)
    if not is_local:
        is_own = bool(told.transitions)
        outbox.look(target, told.keys, is_own=is_own, listeners=told.listeners)


def check(alerts: Sequence[Any] | None = None) -> list[str]:
    """What is wrong with the channels given, or with those that the environment names."""
    from breaker.alerts import chosen  # noqa: PLC0415 - most workers name none

    return [*chosen.problems_of(alerts)]
