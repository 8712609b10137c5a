"""What an alert is, and what carries it: the Protocol for channels of one's own."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from breaker.model import Transition

# What there is to tell, in the order of the documentation.
KINDS = ("trip", "quota", "recovery", "store-lost", "flapping")


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing to tell.

    Attributes:
        id: 32 hex digits, the same wherever and however often a process sends it.
        kind: trip, quota, recovery, store-lost, flapping; or "test".
        name: the breaker.
        title: what happened, in one line.
        text: all that a person on call needs to know.
        command: what to run; empty if nothing is to be done.
        page: where to look; empty without BREAKER_PAGE_URL.
        transition: the entry of the history that it is about.
    """

    id: str
    kind: str
    name: str
    title: str
    text: str
    command: str
    page: str
    transition: Transition

    def plain(self) -> dict[str, Any]:
        """The alert as JSON has it."""
        return {
            "id": self.id,
            "kind": self.kind,
            "breaker": self.name,
            "title": self.title,
            "text": self.text,
            "command": self.command,
            "page": self.page,
            "transition": self.transition.plain(),
        }


@runtime_checkable
class Channel(Protocol):
    """Where alerts go. Give one of your own to `breaker.configure(alerts=[...])`.

    Attributes:
        name: of the destination. All processes with a channel of one name share its alerts: each
            is delivered by one of them.
        kinds: what it wants to be told, of `KINDS`. With "flapping", a queue that trips again and
            again is one digest instead of a storm.
    """

    @property
    def name(self) -> str:
        """The destination's name, without a secret in it."""

    @property
    def kinds(self) -> AbstractSet[str]:
        """What it wants to be told."""

    def send(self, alert: Alert) -> None:
        """Deliver, and return when the other end has it.

        It runs in a thread of its own and may take 30 s.

        Raises:
            NotDelivered: the other end did not take it; it says when to try again.
            Exception: anything else is tried again later, too.
        """


class NotDelivered(Exception):  # noqa: N818 - says what is, as BreakerOpen does
    """An alert did not reach the other end.

    Args:
        reason: what came back.
        retry_after: seconds until it is worth trying again, if the other end said so.
        is_final: it will not be taken later either.
    """

    def __init__(
        self, reason: str, *, retry_after: float | None = None, is_final: bool = False
    ) -> None:
        super().__init__(reason)
        self.retry_after = retry_after
        self.is_final = is_final
