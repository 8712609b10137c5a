"""Reads what strangers hand over: attributes, header fields, and waits however they are written.

Imports no client library, and nothing here raises: a guard must not fail where the call it
guards did not.
"""

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import islice
from typing import Any

LONGEST = 86_400.0
# No server sends more, so what is beyond is an attack or a mistake, and is not worth the time.
MOST_FIELDS = 500
MOST_CHARACTERS = 4_096

EPOCH_SECONDS = 1e9
EPOCH_MILLISECONDS = 1e11
EPOCH_END = 1e14

_PART = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|s)")
_DURATION = re.compile(rf"(?:{_PART.pattern})+")
_UNITS = {"h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def attribute(carrier: object, name: str) -> Any:
    """An attribute of a foreign object, None where there is none."""
    try:
        return getattr(carrier, name, None)
    except Exception:  # noqa: BLE001 - a property of a foreign class may raise anything
        return None


def fields(headers: Any) -> dict[str, str]:
    """Header fields by lower-case name; several of one name are joined, as RFC 9110 (5.3) does."""
    found: dict[str, str] = {}
    for pair in _pairs(headers):
        name, value = _field(pair)
        joined = f"{found[name]}, {value}" if name in found else value
        if len(joined) <= MOST_CHARACTERS:
            found[name] = joined
    return found


def clock(found: dict[str, str], now: float | None = None) -> float:
    """The time by which a response's instants count, in epoch seconds.

    Its own Date, where it has one: the upstream's clock and ours need not agree.
    """
    date = _instant(found["date"]) if "date" in found else None
    if date is not None:
        return date
    return datetime.now(UTC).timestamp() if now is None else now


def seconds(given: object, now: float) -> float | None:
    """A wait above 0 and at most a day, from a number, a duration or an instant; else None."""
    if given is None:
        return None
    text = _text(given)
    wait = _wait(text, now)
    if wait is None:
        # A gateway may have added a second one: only the longer wait satisfies both.
        waits = (_wait(part, now) for part in text.split(","))
        wait = max((each for each in waits if each is not None), default=None)
    return wait


def _pairs(headers: Any) -> list[Any]:
    try:
        pairs = headers if isinstance(headers, list | tuple) else headers.items()
        return list(islice(pairs, MOST_FIELDS))
    except Exception:  # noqa: BLE001 - no headers, or foreign ones that fail
        return []


def _field(pair: Any) -> tuple[str, str]:
    try:
        name, value = pair
    except Exception:  # noqa: BLE001 - a list of something else
        return "", ""
    return _text(name).lower(), _text(value)


def _text(value: Any) -> str:
    try:
        if isinstance(value, list | tuple) and len(value) == 1:
            value = value[0]
        text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
    except Exception:  # noqa: BLE001 - a foreign value may refuse to be shown
        return ""
    return text.strip() if len(text) <= MOST_CHARACTERS else ""


def _wait(text: str, now: float) -> float | None:
    try:
        wait = _since(float(text), now)
    except ValueError:
        wait = _spelled(text.strip(), now)
    return min(wait, LONGEST) if math.isfinite(wait) and wait > 0 else None


def _since(number: float, now: float) -> float:
    # Nobody is asked to wait for thirty years, so a number this large is a moment.
    if EPOCH_SECONDS <= number < EPOCH_MILLISECONDS:
        return number - now
    if EPOCH_MILLISECONDS <= number < EPOCH_END:
        return number / 1_000 - now
    return number


def _spelled(text: str, now: float) -> float:
    if _DURATION.fullmatch(text):
        return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    instant = _instant(text)
    return math.nan if instant is None else instant - now


def _instant(text: str) -> float | None:
    instant = _read(datetime.fromisoformat, text)
    return _read(parsedate_to_datetime, text) if instant is None else instant


def _read(reader: Callable[[str], datetime], text: str) -> float | None:
    try:
        moment = reader(text)
        # RFC 9110 knows no other zone, and ours says nothing about the upstream's.
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except Exception:  # noqa: BLE001 - both parsers fail in many ways, OverflowError among them
        return None
