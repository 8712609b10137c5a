"""What machines get: the fields of Status and Transition, seconds, ISO 8601 in UTC."""

import json
from datetime import datetime
from typing import Any


def pretty(value: Any) -> str:
    """A whole answer."""
    return json.dumps(value, default=_encode, indent=2)


def line(value: Any) -> str:
    """One of many answers, on a line of its own."""
    return json.dumps(value, default=_encode)


def _encode(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    message = f"{type(value).__name__} has no place in an answer"
    raise TypeError(message)
