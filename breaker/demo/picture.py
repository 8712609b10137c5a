"""What there is to see at one moment: the values that the views draw and the summary counts."""

from dataclasses import dataclass
from typing import Literal

from breaker.demo.ledger import Tally
from breaker.demo.plan import Phase
from breaker.model import Status, Transition

Mood = Literal["plain", "good", "bad", "wary"]


@dataclass(frozen=True, slots=True)
class Note:
    """Something worth telling: when, in seconds from the phase's start, and what."""

    at: float
    text: str
    mood: Mood = "plain"


@dataclass(frozen=True, slots=True)
class Calls:
    """What the upstream says it was asked.

    Attributes:
        calls: all of them.
        answered: those let through.
        limited: those answered 429.
        jobs: how many different jobs were let through.
    """

    calls: int = 0
    answered: int = 0
    limited: int = 0
    jobs: int = 0


@dataclass(frozen=True, slots=True)
class Second:
    """One second of a phase: calls by answer, and jobs begun by worker and queue."""

    answered: int
    limited: int
    begun: dict[tuple[str, str], int]

    def rate(self, queue: str) -> int:
        """Jobs of a queue that were begun."""
        return sum(count for (_, name), count in self.begun.items() if name == queue)

    def workers_on(self, queue: str) -> int:
        """How many workers began a job of a queue."""
        return sum(1 for (_, name), count in self.begun.items() if name == queue and count)


@dataclass(frozen=True, slots=True)
class Picture:
    """One moment of a phase."""

    phase: Phase
    elapsed: float
    workers: tuple[str, ...]
    calls: Calls
    content: Tally
    other: Tally
    status: Status | None
    transitions: tuple[Transition, ...]
    seconds: tuple[Second, ...]

    @property
    def last(self) -> Second:
        """The last full second."""
        return self.seconds[-1] if self.seconds else Second(0, 0, {})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a phase came to, counted after its workers had ended.

    Attributes:
        phase: which.
        calls: the upstream's count.
        content: where the jobs of `content` are.
        other: where the jobs of `other` are.
        seconds: its course.
        transitions: what the breaker did.
        calls_while_paused: calls made while the queue was seen paused.
        other_while_paused: jobs of `other` done meanwhile.
        limited_while_recovering: calls answered 429 while the breaker was seen half-open.
        pace: jobs per second that a paced recovery began with; None if there was none.
    """

    phase: Phase
    calls: Calls
    content: Tally
    other: Tally
    seconds: tuple[Second, ...]
    transitions: tuple[Transition, ...] = ()
    calls_while_paused: int = 0
    other_while_paused: int = 0
    limited_while_recovering: int = 0
    pace: float | None = None

    @property
    def trips(self) -> list[Transition]:
        """The trips among the transitions."""
        return [step for step in self.transitions if step.event == "tripped"]
