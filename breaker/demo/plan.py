"""The demo's schedule, made from its options."""

from dataclasses import dataclass
from typing import Any

# Jobs of `content` for each worker and second. A worker can do about nine, so that the fleet can
# catch up on a backlog within the allowance.
DEMAND = 4.0
# Jobs of `other` for each worker and second.
OTHER_DEMAND = 2.0
# Calls for each worker and second that the upstream allows by default.
ALLOWANCE = 12.0
# With --forever: seconds from one shortage of the upstream to the next.
EVERY = 45.0


@dataclass(frozen=True, slots=True)
class Plan:
    """The options.

    Attributes:
        workers: how many worker processes drain the queues.
        rate: calls per second that the upstream allows.
        duration: seconds that the whole run takes.
        threshold: rate limit errors in a row that trip the breaker.
        cooldown: seconds that a trip pauses the queue; None: the upstream's Retry-After.
        recovery: the breaker's option of that name.
        only_without: show only the fleet without a breaker.
        is_endless: run until interrupted.
        framework: whose workers drain the queues.
    """

    workers: int
    rate: float
    duration: float
    threshold: int
    cooldown: float | None = None
    recovery: str | None = None
    only_without: bool = False
    is_endless: bool = False
    framework: str = "rq"

    @property
    def shortage(self) -> float:
        """Seconds of the allowance that other clients use up, in each phase."""
        return float(round(self.duration * 0.2))

    @property
    def demand(self) -> float:
        """Jobs of `content` per second."""
        return self.workers * DEMAND

    @property
    def other_demand(self) -> float:
        """Jobs of `other` per second."""
        return self.workers * OTHER_DEMAND

    @property
    def settings(self) -> dict[str, Any]:
        """The breaker's options."""
        given = {
            "threshold": self.threshold,
            "cooldown": self.cooldown,
            "recovery": self.recovery,
        }
        return {name: value for name, value in given.items() if value is not None}

    def phases(self) -> tuple["Phase", ...]:
        """The parts of the run, in order."""
        lead = self.duration * 0.05
        if self.only_without:
            return (Phase(False, self.duration, lead, self.is_endless),)
        without = Phase(False, lead + self.shortage, lead)
        rest = self.duration - without.length
        return (without, Phase(True, rest, self.duration * 0.13, self.is_endless))


@dataclass(frozen=True, slots=True)
class Phase:
    """One part of the run.

    Attributes:
        has_breaker: whether the fleet has a breaker.
        length: seconds.
        shortage_at: when the shortage begins, in seconds from the start.
        is_endless: whether it runs until interrupted, with one shortage after another.
    """

    has_breaker: bool
    length: float
    shortage_at: float
    is_endless: bool = False

    @property
    def title(self) -> str:
        """What it shows."""
        return "with the breaker" if self.has_breaker else "without a breaker"
