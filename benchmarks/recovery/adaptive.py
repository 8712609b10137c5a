"""The adaptive retry mode of the AWS SDKs: each client limits itself, by CUBIC.

Written after botocore 1.44 (`retries/adaptive.py`, `bucket.py`, `throttling.py`), constant by
constant. A client is a process here, as it is there; what botocore calls legacy retries of the
single call is left out, for a queue brings the job back anyway.
"""

import math
import threading

from benchmarks.crew import now
from benchmarks.recovery.calls import Call, Place

BETA = 0.7
SCALE = 0.4
SMOOTHING = 0.8
SPAN = 0.5
SLOWEST = 0.5
MOST_OVER_MEASURED = 2.0


class AdaptiveGate:
    """The client's limiter: free until the first 429, then a bucket with a rate that it learns."""

    def __init__(self, place: Place) -> None:  # noqa: ARG002 - clients share nothing
        self._cubic = Cubic(now())
        self._clocker = Clocker()
        self._bucket = Bucket(rate=1.0)
        self._is_enabled = False
        self._lock = threading.Lock()

    def run(self, call: Call) -> None:
        """Take from the bucket, call, learn from the answer."""
        if self._is_enabled:
            self._bucket.take()
        self._learn(call().ok)

    def _learn(self, ok: bool) -> None:
        measured, at = self._clocker.record(), now()
        with self._lock:
            if ok:
                rate = self._cubic.after_success(at)
            else:
                used = min(measured, self._bucket.rate) if self._is_enabled else measured
                rate = self._cubic.after_error(used, at)
                self._is_enabled = True
            self._bucket.change(min(rate, MOST_OVER_MEASURED * measured))


class Cubic:
    """The rate to send at: back to the last good one quickly, past it slowly at first."""

    def __init__(self, at: float) -> None:
        self._most, self._failed_at = 0.0, at
        self._until_most = 0.0

    def after_success(self, at: float) -> float:
        """The rate at a time after the last error."""
        return SCALE * (at - self._failed_at - self._until_most) ** 3 + self._most

    def after_error(self, rate: float, at: float) -> float:
        """The rate after an error at this rate."""
        self._most, self._failed_at = rate, at
        self._until_most = (self._most * (1 - BETA) / SCALE) ** (1 / 3)
        return rate * BETA


class Clocker:
    """Measures the rate at which a client gets answers, in steps of half a second."""

    def __init__(self) -> None:
        self._rate = 0.0
        self._last = float(math.floor(now()))
        self._count = 0
        self._lock = threading.Lock()

    def record(self) -> float:
        """Count one; the smoothed rate."""
        with self._lock:
            step = math.floor(now() / SPAN) * SPAN
            self._count += 1
            if step > self._last:
                current = self._count / (step - self._last)
                self._rate = current * SMOOTHING + self._rate * (1 - SMOOTHING)
                self._count, self._last = 0, step
            return self._rate


class Bucket:
    """Tokens at a rate that changes; a caller that finds too few waits for them."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self._most, self._level, self._at = 1.0, 0.0, now()
        self._changed = threading.Condition()

    def take(self) -> None:
        """Take one, as soon as there is one."""
        with self._changed:
            self._refill()
            while self._level < 1.0:
                self._changed.wait((1.0 - self._level) / self.rate)
                self._refill()
            self._level -= 1.0

    def change(self, rate: float) -> None:
        """From now on tokens come in at another rate."""
        with self._changed:
            self._refill()
            self.rate = max(rate, SLOWEST)
            self._most = max(rate, 1.0)
            self._level = min(self._level, self._most)
            self._changed.notify()

    def _refill(self) -> None:
        at = now()
        self._level = min(self._most, self._level + (at - self._at) * self.rate)
        self._at = at
