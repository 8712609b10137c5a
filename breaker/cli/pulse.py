"""Look at all breakers again and again, through outages of the store."""

import time
from collections.abc import Iterator
from dataclasses import replace

from breaker.errors import StoreUnavailable
from breaker.fleet import Fleet
from breaker.model import Status

# A breaker's state, told from every other state it has been in.
Edition = tuple[str, int]


def beats(fleet: Fleet, interval: float) -> Iterator[list[Status] | StoreUnavailable]:
    """Yield the state of each breaker, or why the store did not say, every `interval` seconds."""
    while True:
        try:
            yield list(fleet.statuses())
        except StoreUnavailable as error:
            yield error
        time.sleep(interval)


def edition(status: Status) -> Edition:
    """What is another one as soon as anything has changed."""
    return status.incarnation, status.version


def news(status: Status) -> Edition | Status:
    """What is another one as soon as there is something to tell.

    While the fleet is paced each job changes the state, by the slot it took: what there is to tell
    is the pace, each time its first digit is another one.
    """
    if status.pace is None:
        return edition(status)
    return replace(status, version=0, pace=float(f"{status.pace:.1g}"))


class Outages:
    """Says once that the store is away, and once that it is back."""

    def __init__(self) -> None:
        self._is_away = False

    def news(self, beat: list[Status] | StoreUnavailable) -> str:
        """What there is to say now; mostly nothing."""
        was_away, self._is_away = self._is_away, isinstance(beat, StoreUnavailable)
        if self._is_away == was_away:
            return ""
        return f"{beat}; trying on" if self._is_away else "the store answers again"
