"""Callers that share one connection: who gets the turn sends for all that wait.

A process with two hundred threads needs no more connections, and none of them waits longer than
for the batch that is on its way and its own. The commands of a batch are independent: no MULTI, and
each has an answer of its own.
"""

from collections import deque
from collections.abc import Sequence
from typing import Any

from breaker.errors import StoreUnavailable
from breaker.store.command import Command
from breaker.store.verdicts import FAILURES

# How many commands go out at once.
MOST = 100


class Entry:
    """A command that waits for its answer."""

    __slots__ = ("answer", "command", "is_done")

    def __init__(self, command: Command) -> None:
        self.command = command
        self.is_done = False
        self.answer: Any = None

    def finish(self, answer: Any) -> None:
        """Set the answer, or the error in its place."""
        self.answer, self.is_done = answer, True

    def result(self) -> Any:
        """Return the answer.

        Raises:
            Exception: the error that stands in its place.
        """
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Turns:
    """The commands that wait for the one connection."""

    def __init__(self) -> None:
        self._waiting: deque[Entry] = deque()

    def join(self, command: Command) -> Entry:
        """Wait behind the others."""
        entry = Entry(command)
        self._waiting.append(entry)
        return entry

    def leave(self, entry: Entry) -> None:
        """The caller was interrupted, and has no use for the answer any more."""
        if entry in self._waiting:
            self._waiting.remove(entry)

    def take(self) -> list[Entry]:
        """Take all that may be sent now. Those that an outage has overtaken are finished."""
        batch: list[Entry] = []
        while self._waiting and len(batch) < MOST:
            entry = self._waiting.popleft()
            try:
                entry.command.begin()
            except StoreUnavailable as error:
                entry.finish(error)
            else:
                batch.append(entry)
        return batch

    def fail(self, batch: Sequence[Entry], error: BaseException) -> None:
        """The store did not answer a batch: it would not answer those that wait behind it."""
        for entry in (*batch, *self._waiting):
            entry.finish(error)
        self._waiting.clear()

    def put_back(self, batch: Sequence[Entry], own: Entry) -> None:
        """The one who sent was interrupted: the others send again, which their tokens allow."""
        self._waiting.extendleft(
            entry for entry in reversed(batch) if not entry.is_done and entry is not own
        )


def finish_all(batch: Sequence[Entry], answers: Sequence[Any]) -> None:
    """Hand each its answer."""
    for entry, answer in zip(batch, answers, strict=True):
        entry.finish(answer)


def is_shared(error: BaseException) -> bool:
    """Whether an error is that of all commands of a batch, and not one caller's interruption."""
    return isinstance(error, FAILURES)
