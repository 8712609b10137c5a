"""How long to wait: the first source that says something usable counts (W1 to W5)."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from breaker.classify import tables
from breaker.classify.evidence import Evidence
from breaker.classify.lists import limits
from breaker.classify.reading import DURATION, attribute, clock, seconds

_LEAD = (
    r"(?:try(?:ing)? again|retry(?:ing)?|re-try(?:ing)?|available(?: again)?|please wait|wait"
    r"|resets?|next request|take a break)"
    r"(?:[ -](?:after|in|at least|for|of|another|about|around)){0,2}:?\s+"
)
_LATER = re.compile(
    _LEAD + rf"(?:(?P<spelled>{DURATION}|(?:\d+ days?, )?\d+:\d\d:\d\d))", re.IGNORECASE
)
# Without a unit only where nothing else can be meant.
_BARE = re.compile(r"retry[- _]after[\"']?[:=]?\s*[\"']?(\d+(?:\.\d+)?)\b", re.IGNORECASE)
_DELAY = re.compile(r"retry_?delay[\"']?\s*[:=]\s*[\"']?([\d.]+m?s)", re.IGNORECASE)
_UNTIL = re.compile(r"banned until (\d{10,13})\b", re.IGNORECASE)


def explicit_wait(evidence: Evidence, now: float | None) -> float | None:
    """Return the wait that the upstream asked for explicitly (W1 to W4)."""
    return _first(_asked(evidence, now))


def window_wait(evidence: Evidence, now: float | None) -> float | None:
    """Return the seconds until the last exhausted window begins anew (W5)."""
    for found in evidence.headers:
        at = clock(found, now)
        waits = [*_listed(found, at), *_separate(found, at)]
        if waits:
            return max(waits)
    return None


def exhausted(evidence: Evidence) -> set[str]:
    """Return the names of the header fields that say that nothing is left."""
    return {
        name
        for found in evidence.headers
        for name, value in found.items()
        if "remaining" in name and _is_zero(value)
    }


def _first(waits: Iterable[float | None]) -> float | None:
    return next((wait for wait in waits if wait is not None), None)


def _asked(evidence: Evidence, now: float | None) -> Iterator[float | None]:
    for found in evidence.headers:
        for name in tables.MILLISECOND_HEADERS:
            yield _milliseconds(found.get(name))
    for found in evidence.headers:
        yield seconds(found.get("retry-after"), clock(found, now))
    local = clock({}, now)
    yield from _attributes(evidence, local)
    yield from _in_body(evidence, local)
    yield from _in_text(evidence.text, local)


def _milliseconds(value: Any) -> float | None:
    try:
        return seconds(float(value) / 1_000, 0.0)
    except Exception:  # noqa: BLE001 - text, None, or a number beyond a float
        return None


# -- W3


def _attributes(evidence: Evidence, now: float) -> Iterator[float | None]:
    for name in tables.WAIT_ATTRIBUTES:
        yield _plain(attribute(evidence.error, name), now)
    yield _milliseconds(attribute(evidence.error, "retry_after_ms"))
    if any("Flood" in name for name in evidence.classes):
        yield _plain(attribute(evidence.error, "seconds"), now)


def _plain(value: Any, now: float) -> float | None:
    return None if callable(value) or isinstance(value, bool) else seconds(value, now)


def _in_body(evidence: Evidence, now: float) -> Iterator[float | None]:
    for key, value in evidence.pairs:
        name = key.replace("_", "").replace("-", "")
        if name in tables.MILLISECOND_KEYS:
            yield _milliseconds(value)
        elif name in tables.WAIT_KEYS:
            yield _proto(value) or _plain(value, now)
        elif name == "cost":
            yield _shopify(value)


def _proto(value: Any) -> float | None:
    """Read a google.protobuf.Duration, or the same as a mapping."""
    read = value.get if isinstance(value, Mapping) else lambda name: attribute(value, name)
    whole, nanos = read("seconds"), read("nanos")
    if not isinstance(whole, int | float) and not isinstance(nanos, int | float):
        return None
    return seconds((whole or 0) + (nanos or 0) / 1e9, 0.0)


def _shopify(cost: Any) -> float | None:
    """Read the points that a GraphQL query lacks, and how fast they come back."""
    try:
        status = cost["throttleStatus"]
        lacking = cost["requestedQueryCost"] - status["currentlyAvailable"]
        return seconds(lacking / status["restoreRate"], 0.0)
    except Exception:  # noqa: BLE001 - another cost, or a body that is not what it seems
        return None


# -- W4


def _in_text(text: str, now: float) -> Iterator[float | None]:
    for pattern in (_DELAY, _LATER, _BARE, _UNTIL):
        for match in pattern.finditer(text):
            yield seconds(match[1].strip().rstrip(","), now)


# -- W5


def _listed(found: dict[str, str], now: float) -> Iterator[float]:
    for item in limits(found.get("ratelimit", "")):
        if _is_zero(item.first("r", "remaining")):
            yield from _usable(item.first("t", "reset"), now)


def _separate(found: dict[str, str], now: float) -> Iterator[float]:
    remaining = [name for name in found if "remaining" in name]
    for name in remaining:
        if _is_zero(found[name]):
            yield from _reset(found, name, now)
    if not remaining:
        # Cohere and others tell only the end.
        for name, value in found.items():
            if "reset" in name and "limit" in name:
                yield from _usable(value, now)


def _reset(found: dict[str, str], name: str, now: float) -> Iterator[float]:
    # The bare field of Together counts for whatever ran out.
    for other in (
        name.replace("remaining", "reset-after"),
        name.replace("remaining", "reset"),
        "x-ratelimit-reset",
    ):
        waits = list(_usable(found.get(other), now))
        if waits:
            yield waits[0]
            return


def _usable(value: str | None, now: float) -> Iterator[float]:
    wait = seconds(value, now)
    if wait is not None:
        yield wait


def _is_zero(value: str | None) -> bool:
    try:
        return value is not None and float(value) == 0
    except ValueError:
        return False
