"""The words between worker and policy: a call, its answer, and the gate before it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Answer:
    """What the upstream said.

    Attributes:
        ok: 200, rather than 429.
        retry_after: the seconds that came with the 429, if they did.
    """

    ok: bool
    retry_after: float | None


Call = Callable[[], Answer]


@dataclass(frozen=True)
class Place:
    """Where a fleet keeps what it shares, and under which name."""

    url: str
    name: str
    cooldown: float


class Gate(Protocol):
    """What a process puts before its calls; its threads share it."""

    def run(self, call: Call) -> None:
        """Wait for leave, call, and heed the answer. A policy may as well not call at all."""
