"""JSON output: the fields of Status and Transition, seconds, ISO 8601 times in UTC."""

import json
from datetime import datetime
from typing import Any


def pretty(value: Any) -> str:
    """One document, indented."""
    return json.dumps(value, default=_encode, indent=2)


def line(value: Any) -> str:
    """One document on one line."""
    return json.dumps(value, default=_encode)


def _encode(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    message = f"{type(value).__name__} cannot be written as JSON"
    raise TypeError(message)
