"""The plainest rate limit error: HTTP status 429, with or without Retry-After (RFC 9110, 10.2.3).

Reads attributes and imports no client library, so it takes an exception or a response of
requests, httpx, aiohttp, urllib and of the SDKs built on them.
"""

from dataclasses import dataclass
from typing import Literal

from breaker.classify.reading import attribute, clock, fields, seconds

TOO_MANY_REQUESTS = 429


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
    carriers = (exc_or_response, attribute(exc_or_response, "response"))
    statuses = (
        attribute(carrier, name)
        for carrier in carriers
        for name in ("status_code", "http_status", "status", "code")
    )
    if not any(isinstance(status, int) and status == TOO_MANY_REQUESTS for status in statuses):
        return None
    for carrier in carriers:
        found = fields(attribute(carrier, "headers"))
        wait = seconds(found.get("retry-after"), clock(found))
        if wait is not None:
            return RateLimit("rate_limit", wait)
    said = attribute(exc_or_response, "retry_after")
    return RateLimit("rate_limit", seconds(said, clock({})))
