"""One Sentry warning for each trip, if sentry-sdk is installed and initialised."""

import contextlib
import logging
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from breaker.model import Transition

# Seconds to wait until the warning is sent. A worker that has just tripped the breaker is about
# to be paused, so it can wait; a process that forks for each job must.
FLUSH = 2.0

_LOGGER = logging.getLogger("breaker")


def warn(trip: Transition) -> None:
    """Send the warning. Never raises: an alert must not break a job."""
    try:
        if sdk := _initialised():
            sdk.capture_event(event(trip))
            sdk.flush(timeout=FLUSH)
    except Exception:
        _LOGGER.exception("%s: the Sentry warning could not be sent", trip.name)


@contextlib.contextmanager
def no_second_event() -> Iterator[None]:
    """Keep what is logged from becoming an event of its own.

    Sentry's logging integration makes events of log lines, also of warnings if it is configured so.
    """
    with contextlib.ExitStack() as stack:
        try:
            if sdk := _initialised():
                scope = stack.enter_context(sdk.new_scope())
                scope.add_event_processor(_drop_log_record)
        except Exception:
            _LOGGER.exception("Sentry may show the next line as an event of its own")
        yield


def _drop_log_record(event: Any, hint: Mapping[str, Any]) -> Any:
    return None if "log_record" in hint else event


def _initialised() -> Any:
    """The SDK, if it is installed and initialised."""
    try:
        import sentry_sdk  # noqa: PLC0415 - an optional extra
    except ImportError:
        return None
    except Exception:  # an integration that sentry-sdk imports may fail in any way
        _LOGGER.exception("sentry-sdk could not be imported")
        return None
    return sentry_sdk if sentry_sdk.get_client().is_active() else None


def event(trip: Transition) -> Any:
    """Make the Sentry event: what the on-call engineer needs to know, grouped by breaker."""
    return {
        "event_id": trip.trip_id,
        "level": "warning",
        "logger": "breaker",
        "message": message(trip),
        "fingerprint": ["breaker", trip.name, *([trip.kind] if trip.kind else [])],
        "tags": {
            "breaker": trip.name,
            "breaker.kind": trip.kind or "rate_limit",
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
    """The event's text: the queue, the errors, the end of the pause, how to resume."""
    pause = trip.pause or 0.0
    until = (trip.at + timedelta(seconds=pause)).strftime("%H:%M:%S UTC")
    if trip.is_shadow:
        return (
            f"Queue {trip.name!r} would have been paused until {until} ({pause:g} s): "
            f"{trip.reason}. It runs on, because it is in shadow mode."
        )
    if trip.kind == "quota":
        return (
            f"Queue {trip.name!r} is paused until {until} ({pause:g} s): {trip.reason}. Waiting "
            f"may not help: look at the account's quota or balance. One job then tries again; to "
            f"resume now: breaker resume {trip.name}"
        )
    return (
        f"Queue {trip.name!r} is paused until {until} ({pause:g} s): {trip.reason}. "
        f"It resumes by itself; to resume it now: breaker resume {trip.name}"
    )
