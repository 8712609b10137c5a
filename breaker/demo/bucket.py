"""The token bucket behind the upstream's rate limit."""

import math
import threading
import time
from collections.abc import Callable


class TokenBucket:
    """Tokens arrive at a steady rate, up to a capacity; each call takes one.

    Args:
        rate: tokens per second.
        capacity: the number of tokens at the start, and the most at any time.
        clock: monotonic seconds.
    """

    def __init__(
        self, rate: float, capacity: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate = rate
        self._capacity = capacity
        self._clock = clock
        self._tokens = capacity
        self._counted_at = clock()
        self._lock = threading.Lock()

    def take(self) -> int:
        """Take a token for a call.

        Returns:
            0, or the whole seconds until the next token if the bucket is empty.
        """
        with self._lock:
            self._refill()
            if self._tokens >= 1:
                self._tokens -= 1
                return 0
            return max(1, math.ceil((1 - self._tokens) / self._rate))

    def spend_ahead(self, seconds: float) -> None:
        """Empty the bucket for the next seconds, as if other clients had made the calls."""
        with self._lock:
            self._refill()
            self._tokens = -seconds * self._rate

    def _refill(self) -> None:
        now = self._clock()
        gained = (now - self._counted_at) * self._rate
        self._tokens = min(self._capacity, self._tokens + gained)
        self._counted_at = now
