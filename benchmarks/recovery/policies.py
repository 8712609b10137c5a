"""The policies: what a worker does before a call, and about its answer."""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from benchmarks.recovery.adaptive import AdaptiveGate
from benchmarks.recovery.calls import Call, Gate, Place
from benchmarks.recovery.other import PyBreakerGate
from breaker import Breaker


class NoGate:
    """Nothing: after a 429 the next call is made as if nothing had been said."""

    def __init__(self, place: Place) -> None:
        pass

    def run(self, call: Call) -> None:
        """Call."""
        call()


class BreakerGate:
    """This project's breaker, with or without an ear for Retry-After."""

    def __init__(self, place: Place, *, recovery: str, heeds: bool) -> None:
        self._breaker = breaker_of(place, recovery)
        self._heeds = heeds

    def run(self, call: Call) -> None:
        """Acquire, call, report."""
        permit = self._breaker.acquire()
        answer = call()
        if answer.ok:
            permit.success()
        else:
            permit.rate_limited(answer.retry_after if self._heeds else None)


def breaker_of(place: Place, recovery: str) -> Breaker:
    """The breaker of a fleet; its workers and the benchmark itself must declare the same options."""
    return Breaker(place.name, url=place.url, recovery=recovery, cooldown=place.cooldown)


@dataclass(frozen=True)
class Policy:
    """One policy.

    Attributes:
        name: what it is called on the command line.
        make: the gate of a process.
        recovery: the breaker's option, where it is this project's.
        needs: the package that it takes; empty if none.
    """

    name: str
    make: Callable[[Place], Gate]
    recovery: str = ""
    needs: str = ""

    @property
    def is_here(self) -> bool:
        """Whether what it needs is installed."""
        return not self.needs or importlib.util.find_spec(self.needs) is not None


def _breaker(name: str, recovery: str, *, heeds: bool = True) -> Policy:
    return Policy(name, partial(BreakerGate, recovery=recovery, heeds=heeds), recovery)


POLICIES = {
    policy.name: policy
    for policy in (
        Policy("none", NoGate),
        _breaker("plain", "resume", heeds=False),
        _breaker("plain-retry-after", "resume"),
        _breaker("probe", "probe"),
        _breaker("pace", "pace"),
        Policy("pybreaker", PyBreakerGate, needs="pybreaker"),
        Policy("adaptive", AdaptiveGate),
    )
}
