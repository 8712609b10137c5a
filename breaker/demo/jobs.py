"""What the two queues run. The jobs know nothing of a breaker: an answer of 429 is an exception."""

import time
import urllib.request

# Straight to the loopback, whatever proxy the environment names.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
TIMEOUT = 10.0


def fetch(url: str, method: str = "GET") -> bytes:
    """Ask the upstream.

    Raises:
        urllib.error.HTTPError: it answered 429, or another error.
    """
    request = urllib.request.Request(url, method=method)  # noqa: S310 - our own, on the loopback
    with _OPENER.open(request, timeout=TIMEOUT) as response:
        answer: bytes = response.read()
        return answer


def call_upstream(url: str) -> None:
    """A job of `content`: one call of the upstream."""
    fetch(url)


def other_work() -> None:
    """A job of `other`: it needs no upstream."""
    time.sleep(0.02)
