"""The details of a report, as callers give them: read if possible, else left out with a warning.

The fact counts in any case. An error of ours about a detail would lose the 429, and take the place
of the job's own exception.
"""

import hashlib
import logging
from datetime import timedelta

from breaker.classify.reading import clock, seconds
from breaker.settings import LONGEST

# Characters of an id that are stored as they are; of a longer one, the rest is hashed.
LONGEST_ID = 500
KEPT_OF_ID = 400

_LOGGER = logging.getLogger("breaker")
_warned: set[str] = set()


def wait_of(name: str, given: object) -> float | None:
    """A Retry-After in seconds; None if it is missing or cannot be read."""
    if given is None or given == "":
        return None
    value = given.total_seconds() if isinstance(given, timedelta) else given
    if isinstance(value, int | float) and not isinstance(value, bool):
        found = float(min(value, LONGEST)) if value >= 0 else None
    else:
        found = seconds(value, clock({}))
    if found is None:
        _warn(name, "retry_after", given)
    return found


def id_of(name: str, given: object) -> str:
    """An error's id as text that can be part of a key; empty if it is missing or cannot be read."""
    if given is None:
        return ""
    try:
        text = given.decode("latin-1") if isinstance(given, bytes) else str(given)
    except Exception:  # noqa: BLE001 - a caller's object may fail in any way
        _warn(name, "error_id", type(given).__name__)
        return ""
    text = text.encode("utf-8", "backslashreplace").decode()
    if len(text) <= LONGEST_ID:
        return text
    return text[:KEPT_OF_ID] + hashlib.sha256(text.encode()).hexdigest()


def _warn(name: str, what: str, given: object) -> None:
    if name not in _warned:
        _warned.add(name)
        _LOGGER.warning(
            "%s: %s=%r cannot be read; the error counts without it", name, what, given
        )
