"""What happens when: the demo's script, made from its options."""

from dataclasses import dataclass
from typing import Any

# Per worker and second: jobs of each queue, and calls that the upstream allows by default. A
# worker manages about nine calls, so that the fleet works off a backlog within the allowance.
DEMAND = 4.0
OTHER_DEMAND = 2.0
ALLOWANCE = 12.0
# With --forever the allowance runs out again after so many seconds.
EVERY = 45.0


@dataclass(frozen=True, slots=True)
class Plan:
    """The options.

    Attributes:
        workers: how many worker processes drain the queues.
        rate: calls per second that the upstream allows.
        duration: seconds that the whole run takes.
        threshold: rate limit errors in a row that trip the breaker.
        cooldown: how long a trip pauses the queue; None leaves it to the upstream's Retry-After.
        recovery: the breaker's option.
        only_without: show only the fleet without a breaker.
        is_endless: go on until interrupted.
    """

    workers: int
    rate: float
    duration: float
    threshold: int
    cooldown: float | None = None
    recovery: str | None = None
    only_without: bool = False
    is_endless: bool = False

    @property
    def shortage(self) -> float:
        """For how many seconds the allowance is spent, in each phase."""
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
        """What the breaker is made with."""
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
        has_breaker: whether the fleet has one.
        length: seconds.
        shortage_at: when the allowance is spent, in seconds from the start.
        is_endless: whether it goes on until interrupted, meeting one shortage after another.
    """

    has_breaker: bool
    length: float
    shortage_at: float
    is_endless: bool = False

    @property
    def title(self) -> str:
        """What it shows."""
        return "with the breaker" if self.has_breaker else "without a breaker"
