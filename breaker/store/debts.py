"""What the breakers of this process owe a store: reports that an outage kept from it."""

import threading
from collections.abc import Callable, Generator
from typing import Any

from breaker import forking
from breaker.protocol.requests import Request
from breaker.store.target import Target

Plan = Generator[Request, Any, Any]
# A plan that hands something in, and whether the server that is to have it is away.
Debt = tuple[Callable[[], Plan], Callable[[], bool]]


class Debts:
    """The debts to one store."""

    def __init__(self) -> None:
        self._owed: list[Debt] = []
        self._lock = threading.Lock()

    def add(self, hand_in: Callable[[], Plan], is_away: Callable[[], bool]) -> None:
        """A report could not be sent: this plan hands it in when its server is back."""
        with self._lock:
            if all(known != hand_in for known, _ in self._owed):
                self._owed.append((hand_in, is_away))

    def take(self) -> list[Debt]:
        """Those whose server is there by now; each is given once."""
        if not self._owed:
            return []
        with self._lock:
            due = [debt for debt in self._owed if not debt[1]()]
            self._owed = [debt for debt in self._owed if debt not in due]
        return due

    def after_fork(self) -> None:
        """In a forked child: the parent hands in its own, and may have held the lock."""
        self._owed, self._lock = [], threading.Lock()


_by_store: dict[str, Debts] = {}


def debts_to(target: Target) -> Debts:
    """What this process owes a store."""
    return _by_store.setdefault(target.identity, Debts())


@forking.in_child
def _after_fork() -> None:
    for debts in _by_store.values():
        debts.after_fork()
