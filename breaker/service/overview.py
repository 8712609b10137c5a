"""What the page shows: all breakers, read for all visitors together, and kept for an outage."""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from markupsafe import Markup

from breaker.errors import StoreError
from breaker.fleet import Fleet
from breaker.model import Status, Transition
from breaker.service.drawing import CELL, CELLS, Strip

# Seconds for which one reading serves every visitor.
FRESH = 1.0


@dataclass(frozen=True, slots=True)
class Picture:
    """All breakers at one moment.

    Attributes:
        statuses: their states by name.
        strips: their last 24 hours by name.
        unreadable: those that could not be read, and why.
        read_at: when; None if never.
        away: why the store cannot be read now; empty if it can.
        away_since: when a reading first failed; None if the last one did not.
    """

    statuses: Mapping[str, Status] = field(default_factory=dict)
    strips: Mapping[str, Markup] = field(default_factory=dict)
    unreadable: Mapping[str, str] = field(default_factory=dict)
    read_at: datetime | None = None
    away: str = ""
    away_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Portrait:
    """One breaker: its state, and its history with the oldest entry first."""

    status: Status
    events: tuple[Transition, ...]


class Overview:
    """Reads the store for the page.

    Args:
        fleet: all breakers of the store.
    """

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._lock = threading.Lock()
        self._picture = Picture()
        self._strips: dict[str, Strip] = {}
        self._tried_at = -FRESH

    def read(self) -> Picture:
        """All breakers; while the store is away, as they were when it was last read."""
        with self._lock:
            if time.monotonic() - self._tried_at >= FRESH:
                try:
                    self._picture = self._read()
                except StoreError as error:
                    self._note(error)
                self._tried_at = time.monotonic()
            return self._picture

    def lost(self, error: StoreError) -> Picture:
        """What is known, after a command that failed."""
        with self._lock:
            self._note(error)
            return self._picture

    def portrait(self, name: str) -> Portrait:
        """One breaker, read now.

        Raises:
            ConfigurationError: no breaker can have this name.
            StoreError: the store could not be asked.
        """
        status = self._fleet.status(name)
        return Portrait(status, tuple(self._fleet.histories({name: "0"})))

    def _note(self, error: StoreError) -> None:
        since = self._picture.away_since or datetime.now(UTC)
        self._picture = replace(self._picture, away=str(error), away_since=since)

    def _read(self) -> Picture:
        statuses = {status.name: status for status in self._fleet.statuses()}
        unreadable = {name: str(error) for name, error in self._fleet.unreadable.items()}
        now = datetime.now(UTC)
        oldest = f"{int(now.timestamp() - CELL * CELLS) * 1000}"
        self._strips = {name: self._strips.get(name) or Strip(oldest) for name in statuses}
        marks = {name: strip.mark for name, strip in self._strips.items()}
        for event in self._fleet.histories(marks):
            self._strips[event.name].add(event)
        drawn = {
            name: self._strips[name].draw(status.state, now)
            for name, status in statuses.items()
        }
        return Picture(statuses, drawn, unreadable, now)
