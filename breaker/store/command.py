"""A command on its way to a server, and what was known of the server when it was thought of."""

import time

from breaker.errors import StoreUnavailable
from breaker.store.outage import Outage
from breaker.store.target import Target

_ASKING = ("ASKING",)


class Command:
    """A command to run.

    Args:
        words: the command and its arguments.
        outage: this process's view of the server's health.
        node: the server that is to run it.
        spent: seconds of its time that are gone already.
        is_asking: the server of a cluster is only about to get its keys.

    Attributes:
        words: the command and its arguments.
        lines: what goes over the wire: all of them are answered, the last answer is the command's.
        node: the server that is to run it.
        spent: seconds of its time that are gone already.
        sent_at: when it was sent, in monotonic seconds.
    """

    __slots__ = ("_number", "_outage", "lines", "node", "sent_at", "spent", "words")

    def __init__(
        self,
        words: tuple[str | int, ...],
        outage: Outage,
        node: Target,
        *,
        spent: float = 0.0,
        is_asking: bool = False,
    ) -> None:
        self.words = words
        self.lines = (_ASKING, words) if is_asking else (words,)
        self.node = node
        self.spent = spent
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
