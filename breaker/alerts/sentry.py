"""One Sentry warning for each trip, if sentry-sdk is installed and initialised."""

import logging
from datetime import timedelta
from typing import Any

from breaker.model import Transition

# A worker that has just tripped the breaker is about to be paused; it can wait so many seconds
# for the warning to leave, and a process that forks for each job must.
FLUSH = 2.0

_LOGGER = logging.getLogger("breaker")


def warn(trip: Transition) -> None:
    """Send the warning. Never raises: an alert must not break a job."""
    try:
        import sentry_sdk  # noqa: PLC0415 - an optional extra
    except ImportError:
        return
    except Exception:  # a module that it looks for in passing may fail in any way
        _LOGGER.exception("%s: sentry-sdk could not be imported", trip.name)
        return
    try:
        if sentry_sdk.get_client().is_active():
            sentry_sdk.capture_event(event(trip))
            sentry_sdk.flush(timeout=FLUSH)
    except Exception:
        _LOGGER.exception("%s: the Sentry warning could not be sent", trip.name)


def event(trip: Transition) -> Any:
    """The warning: what an on-call person needs to know, grouped by breaker."""
    return {
        "event_id": trip.trip_id,
        "level": "warning",
        "logger": "breaker",
        "message": message(trip),
        "fingerprint": ["breaker", trip.name],
        "tags": {
            "breaker": trip.name,
            "breaker.epoch": str(trip.epoch),
            "breaker.shadow": str(trip.is_shadow).lower(),
        },
        "extra": {
            "reason": trip.reason,
            "pause_seconds": trip.pause,
            "tripped_by": trip.by,
            "evidence": [
                {
                    "error_id": error.id,
                    "worker": error.worker,
                    "at": error.at.isoformat(),
                    "retry_after": error.retry_after,
                }
                for error in trip.evidence
            ],
        },
    }


def message(trip: Transition) -> str:
    """Which queue, how many errors, until when, how to resume."""
    pause = trip.pause or 0.0
    until = (trip.at + timedelta(seconds=pause)).strftime("%H:%M:%S UTC")
    if trip.is_shadow:
        return (
            f"Queue {trip.name!r} would have been paused until {until} ({pause:g} s): "
            f"{trip.reason}. It is in shadow mode and goes on."
        )
    return (
        f"Queue {trip.name!r} is paused until {until} ({pause:g} s): {trip.reason}. "
        f"It resumes by itself; to resume it now: breaker resume {trip.name}"
    )
