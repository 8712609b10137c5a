"""Reads foreign objects: attributes, header fields, and waits in all their notations.

Imports no client library, and nothing here raises: a guard must not fail where the call it
guards did not.
"""

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from itertools import islice
from typing import Any

# The longest wait that is believed, in seconds.
LONGEST = 86_400.0
# Servers send fewer header fields than this, and shorter ones (in characters).
MOST_FIELDS = 500
MOST_CHARACTERS = 4_096

# A number of seconds or milliseconds this large cannot be a wait: it is an epoch timestamp.
EPOCH_SECONDS = 1e9
EPOCH_MILLISECONDS = 1e11
EPOCH_END = 1e14

# Go's durations, and the words that people write: "1m30.5s", "120ms", "2 minutes and 5 seconds".
_UNITS = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 1e-6, "ns": 1e-9}
_WORDS = {"µs": "us", "μs": "us", "milliseconds": "ms", "millisecond": "ms", "millis": "ms"}
DURATION = (
    r"(?:\d+(?:\.\d+)?\s*"
    r"(?:milliseconds?|millis|ms|[µμu]s|ns|days?|d|hours?|hrs?|h|minutes?|mins?|m|seconds?|secs?|s)"
    r"(?![a-zµμ])(?:\s*,?\s*(?:and\s+)?)?){1,6}"
)
_DURATION = re.compile(DURATION, re.IGNORECASE)
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([a-zµμ]+)", re.IGNORECASE)
_CLOCK = re.compile(r"(?:(\d+) days?, )?(\d+):(\d\d):(\d\d(?:\.\d+)?)")


def attribute(carrier: object, name: str) -> Any:
    """An attribute of a foreign object, or None."""
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
    """Return a wait above 0 and at most a day, or None.

    Args:
        given: a number, a timedelta, a duration, a date, or several of them joined by commas.
        now: epoch seconds by which dates are turned into waits.
    """
    if given is None:
        return None
    text = str(given.total_seconds()) if isinstance(given, timedelta) else _text(given)
    wait = _wait(text, now)
    if wait is None and "," in text:
        # A gateway may have added a second one: only the longer wait satisfies both.
        waits = (_wait(part, now) for part in text.split(","))
        wait = max((each for each in waits if each is not None), default=None)
    return wait


def wait_of(given: object) -> float | None:
    """Return a caller's hint in seconds, above 0 and at most a day; None if it is unusable."""
    return seconds(given, clock({}))


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
    if EPOCH_SECONDS <= number < EPOCH_MILLISECONDS:
        return number - now
    if EPOCH_MILLISECONDS <= number < EPOCH_END:
        return number / 1_000 - now
    return number


def _spelled(text: str, now: float) -> float:
    if _DURATION.fullmatch(text):
        return sum(float(number) * _unit(word) for number, word in _PART.findall(text))
    clocked = _CLOCK.fullmatch(text)
    if clocked:
        days, hours, minutes, secs = (float(group or 0) for group in clocked.groups())
        return days * 86_400 + hours * 3_600 + minutes * 60 + secs
    instant = _instant(text)
    return math.nan if instant is None else instant - now


def _unit(word: str) -> float:
    word = word.lower()
    word = _WORDS.get(word, word)
    return _UNITS.get(word) or _UNITS[word[0]]


# JavaScript writes "GMT+0200 (Central European Summer Time)", Go and Ruby a blank before the
# zone, Go also the zone's name behind it.
_COMMENT = re.compile(r"\s*\([^()]*\)$")
_OFFSET = re.compile(r"\s*(?:GMT|UTC)?\s*([+-]\d\d:?\d\d)(?: [A-Z]{1,5})?$")
_UTC = re.compile(r"\s*(?:Z|GMT|UTC)$")
# What may stand behind the time in a date that names no zone: nothing, or a year.
_NO_ZONE = re.compile(r"\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:\s+\d{4})?$")


def _instant(text: str) -> float | None:
    text = _COMMENT.sub("", text)
    iso = _UTC.sub("+00:00", _OFFSET.sub(r"\1", text))
    moment = _read(datetime.fromisoformat, iso)
    if moment is None:
        moment = _read(parsedate_to_datetime, _UTC.sub(" +0000", _OFFSET.sub(r" \1", text)))
        if moment is not None and moment.tzinfo is None and not _NO_ZONE.search(text):
            return None  # it names a zone that was not understood: the hour is not known
    return None if moment is None else _timestamp(moment)


def _read(reader: Callable[[str], datetime], text: str) -> datetime | None:
    try:
        return reader(text)
    except Exception:  # noqa: BLE001 - both parsers fail in many ways, OverflowError among them
        return None


def _timestamp(moment: datetime) -> float | None:
    try:
        # RFC 9110 knows no other zone, and the local one says nothing about the upstream's.
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except Exception:  # noqa: BLE001 - a year beyond what the platform can count
        return None
