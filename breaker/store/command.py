"""A command on its way to the store, and what was known of the store when it was thought of."""

import time

from breaker.errors import StoreUnavailable
from breaker.store.outage import Outage


class Command:
    """A command to run.

    Args:
        words: the command and its arguments.
        outage: this process's view of the store's health.

    Attributes:
        words: the command and its arguments.
        sent_at: when it was sent, in monotonic seconds.
    """

    __slots__ = ("_number", "_outage", "sent_at", "words")

    def __init__(self, words: tuple[str | int, ...], outage: Outage) -> None:
        self.words = words
        self.sent_at = time.monotonic()
        self._outage = outage
        self._number = outage.number

    def begin(self) -> None:
        """It has a connection now.

        Raises:
            StoreUnavailable: an outage began while it waited for one.
        """
        if self._outage.is_on and self._outage.number != self._number:
            raise StoreUnavailable(self._outage.says)
        self.sent_at = time.monotonic()
