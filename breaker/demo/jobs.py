"""The jobs of the two queues. They know no breaker: a 429 is an exception like any other."""

import time
import urllib.request

# Without the proxy that the environment may name: the upstream is on the loopback.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
# Seconds that a call may take.
TIMEOUT = 10.0


def fetch(url: str, method: str = "GET") -> bytes:
    """Call the upstream.

    Raises:
        urllib.error.HTTPError: the answer is 429 or another error.
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
