"""The service as a teller of last resort: it finds what no worker is alive to tell."""

import contextlib
import threading
import time

from breaker.alerts import outbox
from breaker.errors import StoreError
from breaker.fleet import Fleet
from breaker.protocol.keys import Keys
from breaker.protocol.outbox import SINCE

# Seconds between two looks at all histories, at least, and as a multiple of what a look takes.
EVERY = 2.0
SHARE = 20


class Sweep:
    """Looks for new entries of all histories, and has them told.

    Args:
        fleet: all breakers of the store.
    """

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._stop = threading.Event()
        self._marks: dict[str, str] = {}

    def start(self) -> None:
        """Begin, on a thread of its own."""
        threading.Thread(target=self._run, name="breaker-sweep", daemon=True).start()

    def stop(self) -> None:
        """End it; returns at once."""
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.is_set():
            began = time.monotonic()
            with contextlib.suppress(StoreError):  # what happens meanwhile is found afterwards
                self._look()
            self._stop.wait(max(EVERY, SHARE * (time.monotonic() - began)))

    def _look(self) -> None:
        since = f"{max(0, round(time.time() * 1000) - SINCE)}"
        marks = {name: self._marks.get(name, since) for name in self._fleet.names()}
        found = {event.name: event.id for event in self._fleet.histories(marks)}
        self._marks = marks | found
        for name in found:
            outbox.look(self._fleet.target, Keys(self._fleet.prefix, name), is_own=False)
