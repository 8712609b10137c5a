"""What the two queues run. The jobs know nothing of a breaker: an answer of 429 is an exception."""

import time
import urllib.request

# Straight to the loopback, whatever proxy the environment names.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
TIMEOUT = 10.0


def call_upstream(url: str) -> None:
    """A job of `content`: one call of the upstream.

    Raises:
        urllib.error.HTTPError: it answered 429, or another error.
    """
    with _OPENER.open(url, timeout=TIMEOUT) as response:
        response.read()


def other_work() -> None:
    """A job of `other`: it needs no upstream."""
    time.sleep(0.02)
