"""Read all breakers at intervals, through outages of the store."""

import time
from collections.abc import Iterator
from dataclasses import replace

from breaker.cli import faults
from breaker.errors import StoreUnavailable
from breaker.fleet import Fleet
from breaker.model import Status

BACK = "the store answers again"
# Identifies one state of a breaker: incarnation and version.
Edition = tuple[str, int]


def beats(fleet: Fleet, interval: float) -> Iterator[list[Status] | StoreUnavailable]:
    """Yield the state of each breaker, or the outage, every `interval` seconds."""
    while True:
        try:
            yield list(fleet.statuses())
        except StoreUnavailable as error:
            yield error
        time.sleep(interval)


def edition(status: Status) -> Edition:
    """A value that changes with every change of the breaker."""
    return status.incarnation, status.version


def news(status: Status) -> Edition | Status:
    """A value that changes whenever the breaker's display should be updated.

    While the fleet is paced each job changes the state, because it takes a slot. The display then
    changes with the first digit of the pace.
    """
    if status.pace is None:
        return edition(status)
    return replace(status, version=0, pace=float(f"{status.pace:.1g}"))


class Outages:
    """Reports the beginning and the end of each outage once."""

    def __init__(self) -> None:
        self._is_away = False

    def news(self, beat: list[Status] | StoreUnavailable) -> str:
        """The message for this beat; empty if nothing changed."""
        was_away, self._is_away = self._is_away, isinstance(beat, StoreUnavailable)
        if self._is_away == was_away:
            return ""
        return f"{faults.wrong(beat)}; retrying" if isinstance(beat, StoreUnavailable) else BACK
