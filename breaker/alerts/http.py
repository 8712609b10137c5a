"""One POST with the standard library: no redirect is followed, and the status decides."""

import urllib.error
import urllib.request
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from time import time
from typing import Any

from breaker.alerts.channel import NotDelivered

# Seconds that one read or write may take.
TIMEOUT = 10.0
# Statuses that a later attempt may change, beside those from 500.
PASSING = (408, 425, 429)
# Characters of an answer that are shown.
SHOWN = 200


class _Stay(urllib.request.HTTPRedirectHandler):
    """A redirected POST would arrive as a GET, without its body."""

    def redirect_request(self, *_: Any) -> None:
        return None


def post(url: str, body: bytes, headers: Mapping[str, str]) -> str:
    """Send, and return what came back.

    Raises:
        NotDelivered: the answer was not 2xx, or there was none.
    """
    request = urllib.request.Request(url, body, dict(headers), method="POST")  # noqa: S310 - its scheme was checked at the start
    try:
        with urllib.request.build_opener(_Stay).open(request, timeout=TIMEOUT) as answer:
            return f"HTTP {answer.status}"
    except urllib.error.HTTPError as error:
        with error:
            said = error.read(SHOWN).decode(errors="replace")
        raise refused(error.code, said, error.headers.get("Retry-After")) from None
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", None) or error or type(error).__name__
        raise NotDelivered(f"no answer: {reason}") from None


def refused(status: int, said: str, retry_after: str | None) -> NotDelivered:
    """What an answer other than 2xx means."""
    is_passing = status >= 500 or status in PASSING  # noqa: PLR2004 - HTTP's own numbers
    shown = " ".join(said.split())[:SHOWN]
    reason = f"HTTP {status}" + (f": {shown}" if shown else "")
    return NotDelivered(reason, retry_after=_seconds(retry_after), is_final=not is_passing)


def _seconds(retry_after: str | None) -> float | None:
    """Retry-After is a number of seconds or a date."""
    if not retry_after:
        return None
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time())
    except (TypeError, ValueError):
        return None
