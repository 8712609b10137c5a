"""What a plan may ask of its driver, and what it may know without asking."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from breaker.model import Grant, Transition
from breaker.protocol.keys import Keys
from breaker.protocol.meter import Meter
from breaker.protocol.replies import Reply
from breaker.protocol.scripts import Script


@dataclass(frozen=True, slots=True)
class Ask:
    """Run a script.

    Attributes:
        local_args: during an outage the local breaker may answer; these arguments replace the
            others of the same names. None: it may not.
    """

    script: Script
    keys: tuple[str, ...]
    args: tuple[str | int, ...]
    local_args: Mapping[str, str | int] | None = None


@dataclass(frozen=True, slots=True)
class Send:
    """Run a plain command. `may_fail`: the answer is None if the store is down."""

    command: tuple[str | int, ...]
    may_fail: bool = False


class Watching(Protocol):
    """What is known of a breaker without asking; `breaker.push` has it."""

    @property
    def serial(self) -> int:
        """Grows with every change."""

    @property
    def last(self) -> Reply:
        """What the store last said."""

    @property
    def told_at(self) -> float:
        """When it said so, in monotonic seconds."""

    @property
    def meter(self) -> Meter:
        """What this process delivers of the breaker's jobs."""

    def known(self) -> Reply | None:
        """What the store last said, if nothing can have changed since but by time."""

    def grant(self) -> Grant | None:
        """Leave to run a job that needs no asking."""

    def runs(self) -> bool:
        """Whether the queue is known not to be paused."""

    def is_quiet(self) -> bool:
        """Whether a success need not be sent."""

    def paused_left(self) -> float | None:
        """Seconds that are left of a pause that is known for sure."""

    def introduce(self, incarnation: str) -> None:
        """This worker has made itself known to the store's present state."""

    def learn(self, reply: Reply) -> None:
        """Take in an own reply."""

    def notify(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` when anything is to be looked at anew; returns what ends that."""

    def wait_for_change(self, serial: int, seconds: float) -> None:
        """Block until a change after `serial`, at most for the given seconds."""


@dataclass(frozen=True, slots=True)
class Sleep:
    """Wait the given seconds, or until the watched state has changed since `serial`."""

    seconds: float
    watch: Watching | None = None
    serial: int = 0


@dataclass(frozen=True, slots=True)
class Tell:
    """Log and alert what this call has changed, or what another worker's call has: then it is empty.

    Attributes:
        transitions: what it has changed, or found.
        keys: those of the breaker.
        listeners: how many processes have heard of it, if by push; 0: this one alone.
    """

    transitions: tuple[Transition, ...]
    keys: Keys
    listeners: int = 0


Request = Ask | Send | Sleep | Tell
