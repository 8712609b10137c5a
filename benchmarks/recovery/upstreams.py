"""Upstreams that limit, as pure rules on a clock that is given: real server and simulation share them.

Times are seconds from the start of a run, rates are calls per second.
"""

import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol


class Limiter(Protocol):
    """Says of each call whether it is let through."""

    def take(self, now: float, tokens: float) -> float:
        """Admit a call that costs `tokens`: 0.0, or seconds until it is worth trying again."""

    def finish(self, now: float) -> None:
        """A call that was let through has been answered."""


class TokenBucket:
    """Tokens come in at a steady rate, up to a burst; each call takes one."""

    def __init__(self, rate: float, burst: float | None = None) -> None:
        self._burst = max(1.0, rate if burst is None else burst)
        self._level, self._at = self._burst, 0.0
        self._rate = rate

    def take(self, now: float, tokens: float) -> float:  # noqa: ARG002 - it counts calls
        """Take one of what has come in."""
        self._refill(now)
        if self._level >= 1.0:
            self._level -= 1.0
            return 0.0
        return (1.0 - self._level) / self._rate if self._rate > 0 else math.inf

    def spend(self, now: float) -> None:
        """Take a token, in advance if the bucket is empty."""
        self._refill(now)
        self._level -= 1.0

    def change(self, now: float, rate: float) -> None:
        """From now on tokens come in at another rate, and no more of them are kept; at 0 none."""
        self._refill(now)
        self._rate, self._burst = rate, max(1.0, rate) if rate > 0 else 0.0
        self._level = min(self._level, self._burst)

    def _refill(self, now: float) -> None:
        self._level = min(self._burst, self._level + (now - self._at) * self._rate)
        self._at = now

    def finish(self, now: float) -> None:
        """Nothing is given back."""


class FixedWindow:
    """A number of calls in each window; windows begin at whole multiples of their length."""

    def __init__(self, calls: int, seconds: float) -> None:
        self._calls, self._seconds = calls, seconds
        self._window, self._used = 0, 0

    def take(self, now: float, tokens: float) -> float:  # noqa: ARG002 - it counts calls
        """Count the call, unless its window is full."""
        window = math.floor(now / self._seconds)
        if window != self._window:
            self._window, self._used = window, 0
        if self._used < self._calls:
            self._used += 1
            return 0.0
        return (window + 1) * self._seconds - now

    def finish(self, now: float) -> None:
        """Nothing is given back."""


class SlidingWindow:
    """A number of calls in the window that ends now."""

    def __init__(self, calls: int, seconds: float) -> None:
        self._calls, self._seconds = calls, seconds
        self._taken: deque[float] = deque()

    def take(self, now: float, tokens: float) -> float:  # noqa: ARG002 - it counts calls
        """Count the call, unless there were as many within the window."""
        while self._taken and self._taken[0] <= now - self._seconds:
            self._taken.popleft()
        if len(self._taken) < self._calls:
            self._taken.append(now)
            return 0.0
        return self._taken[0] + self._seconds - now

    def finish(self, now: float) -> None:
        """Nothing is given back."""


class ConcurrencyCap:
    """A number of calls at the same time."""

    def __init__(self, calls: int, hint: float) -> None:
        self._calls, self._hint, self._running = calls, hint, 0

    def take(self, now: float, tokens: float) -> float:  # noqa: ARG002 - it counts calls
        """Let the call in if there is room."""
        if self._running < self._calls:
            self._running += 1
            return 0.0
        return self._hint

    def finish(self, now: float) -> None:  # noqa: ARG002 - whenever
        """There is room for one more."""
        self._running -= 1


class CallsAndTokens:
    """A bucket of calls and one of tokens, both a minute's allowance deep, as LLM providers have."""

    def __init__(self, calls_a_second: float, tokens_a_second: float, depth: float) -> None:
        self._rates = (calls_a_second, tokens_a_second)
        self._bursts = tuple(rate * depth for rate in self._rates)
        self._levels, self._at = list(self._bursts), 0.0

    def take(self, now: float, tokens: float) -> float:
        """Take from both buckets, or from neither."""
        gone, self._at = now - self._at, now
        for place, rate in enumerate(self._rates):
            self._levels[place] = min(self._bursts[place], self._levels[place] + gone * rate)
        wants = (1.0, tokens)
        missing = [
            max(0.0, want - level) / rate
            for want, level, rate in zip(wants, self._levels, self._rates, strict=True)
        ]
        if max(missing) > 0:
            return max(missing)
        self._levels = [level - want for want, level in zip(wants, self._levels, strict=True)]
        return 0.0

    def finish(self, now: float) -> None:
        """Nothing is given back."""


class Changing:
    """A token bucket whose rate changes at given moments; at rate 0 it lets nothing through."""

    def __init__(self, rates: Mapping[float, float]) -> None:
        self._changes = deque(sorted(rates.items()))
        self._bucket = TokenBucket(self._changes.popleft()[1])

    def take(self, now: float, tokens: float) -> float:
        """Go by the rate that is in force."""
        while self._changes and self._changes[0][0] <= now:
            at, rate = self._changes.popleft()
            self._bucket.change(at, rate)
        return self._bucket.take(now, tokens)

    def finish(self, now: float) -> None:
        """Nothing is given back."""


class Shared:
    """A bucket from which another tenant takes a steady share first."""

    def __init__(self, rate: float, others: float) -> None:
        self._bucket = TokenBucket(rate)
        self._others, self._next = others, 0.0

    def take(self, now: float, tokens: float) -> float:
        """The other tenant's calls up to now come first, however often this one asks."""
        while self._next <= now:
            self._bucket.spend(self._next)
            self._next += 1.0 / self._others
        return self._bucket.take(now, tokens)

    def finish(self, now: float) -> None:
        """Nothing is given back."""


Hint = Callable[[float], float | None]


def exact(wait: float) -> float | None:
    """Retry-After as most upstreams give it: the true wait in whole seconds, rounded up."""
    return float(math.ceil(wait)) if math.isfinite(wait) else None


def nothing(_: float) -> float | None:
    """No Retry-After at all."""
    return None


def too_small(wait: float) -> float | None:
    """A tenth of the true wait."""
    return wait / 10 if math.isfinite(wait) else None


def too_large(_: float) -> float | None:
    """A fixed 20 seconds, whatever the true wait."""
    return 20.0


@dataclass(frozen=True)
class Shape:
    """One upstream of the benchmark.

    Attributes:
        name: what it is called on the command line.
        what: one line for the report.
        limiter: makes a fresh one for a run.
        allowed: calls per second that it lets a perfect fleet have at a moment.
        hint: the Retry-After of a refusal, from the true wait.
        back_at: when the capacity is whole again after an incident; None without one.
        times: how many times as long as the others it is run.
        demand: jobs per second that the fleet wants; None: several times what is allowed.
        most_waste: the share of 429s that is allowed.
    """

    name: str
    what: str
    limiter: Callable[[], Limiter]
    allowed: Callable[[float], float]
    hint: Hint = exact
    back_at: float | None = None
    times: float = 1.0
    demand: float | None = None
    most_waste: float = 0.01


def steadily(rate: float) -> Callable[[float], float]:
    """The same allowance at all times."""
    return lambda _: rate


def by_time(rates: Mapping[float, float]) -> Callable[[float], float]:
    """The allowance that is in force at a moment."""
    steps = sorted(rates.items(), reverse=True)
    return lambda now: next(rate for at, rate in steps if at <= now)
