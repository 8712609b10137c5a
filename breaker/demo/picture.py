"""One moment of the demo: the values that the views draw and the summary counts."""

from dataclasses import dataclass
from typing import Literal

from breaker.demo.ledger import Tally
from breaker.demo.plan import Phase
from breaker.model import Status, Transition

Mood = Literal["plain", "good", "bad", "wary"]


@dataclass(frozen=True, slots=True)
class Note:
    """A note on what happened; `at` is in seconds from the phase's start."""

    at: float
    text: str
    mood: Mood = "plain"


@dataclass(frozen=True, slots=True)
class Calls:
    """The upstream's own count of calls.

    Attributes:
        calls: all calls.
        answered: calls that it admitted.
        limited: calls that it answered with 429.
        jobs: different jobs among the admitted calls.
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
        """Jobs of a queue that were started."""
        return sum(count for (_, name), count in self.begun.items() if name == queue)

    def workers_on(self, queue: str) -> int:
        """Workers that started a job of a queue."""
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
    """The result of a phase, counted after its workers had ended.

    Attributes:
        phase: the phase.
        calls: the upstream's count.
        content: where the jobs of `content` are.
        other: where the jobs of `other` are.
        seconds: the counts of each second.
        transitions: the breaker's transitions.
        calls_while_paused: calls made while the queue was seen paused.
        other_while_paused: jobs of `other` done during that time.
        limited_while_recovering: calls answered 429 while the breaker was seen half-open.
        pace: jobs per second at the start of a paced recovery; None if it was not paced.
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
