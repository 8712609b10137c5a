"""The plainest rate limit error: HTTP status 429, with or without Retry-After (RFC 9110, 10.2.3).

Reads attributes and imports no client library, so it takes an exception or a response of
requests, httpx, aiohttp, urllib and of the SDKs built on them.
"""

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal

TOO_MANY_REQUESTS = 429
LONGEST = 86_400.0


@dataclass(frozen=True, slots=True)
class RateLimit:
    """The upstream said "slow down".

    Attributes:
        kind: "rate_limit" clears by waiting; "overload" and "quota" are other things.
        retry_after: seconds it asked for, above 0 and at most a day; None if it did not say.
        scope: what is limited, where the upstream says so.
    """

    kind: Literal["rate_limit", "overload", "quota"]
    retry_after: float | None = None
    scope: str | None = None


def rate_limit(exc_or_response: object) -> RateLimit | None:
    """Tell a rate limit error from everything else. Never raises."""
    carriers = (exc_or_response, _attribute(exc_or_response, "response"))
    statuses = (
        _attribute(carrier, name)
        for carrier in carriers
        for name in ("status_code", "http_status", "status", "code")
    )
    if not any(isinstance(status, int) and status == TOO_MANY_REQUESTS for status in statuses):
        return None
    for carrier in carriers:
        wait = _seconds(_header(_attribute(carrier, "headers"), "retry-after"))
        if wait is not None:
            return RateLimit("rate_limit", wait)
    return RateLimit("rate_limit", _seconds(_attribute(exc_or_response, "retry_after")))


def _attribute(carrier: object, name: str) -> Any:
    try:
        return getattr(carrier, name, None)
    except Exception:  # noqa: BLE001 - a property of a foreign class may raise anything
        return None


def _header(headers: Any, wanted: str) -> Any:
    try:
        pairs = list(headers.items())
    except Exception:  # noqa: BLE001 - no mapping, or a foreign one that fails
        return None
    for name, value in pairs:
        if _text(name).lower() == wanted:
            return _text(value)
    return None


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _seconds(given: Any) -> float | None:
    if given is None or isinstance(given, bool):
        return None
    try:
        wait = float(given)
    except (TypeError, ValueError):
        wait = _until(given)
    return min(wait, LONGEST) if math.isfinite(wait) and wait > 0 else None


def _until(date: Any) -> float:
    try:
        moment = parsedate_to_datetime(str(date).strip())
    except (TypeError, ValueError):
        return math.nan
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - datetime.now(UTC)).total_seconds()
