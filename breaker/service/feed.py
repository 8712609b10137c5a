"""The events of all breakers as one stream, for any number of listeners (Server-Sent Events).

One reader asks the store while there are listeners. The id of an event is its time on the store's
clock in milliseconds, so a listener may go on where it was, here or at another instance. It then
gets what happened from a little before that moment: an event may come twice, never not at all.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import asdict
from datetime import datetime

from breaker.errors import StoreError
from breaker.fleet import Fleet
from breaker.model import Transition

# Seconds between two readings, at least, and as a multiple of the time that a reading takes.
INTERVAL = 0.5
SHARE = 10
# Seconds without an event after which a comment shows that the connection lives.
HEARTBEAT = 15.0
# Milliseconds before its last event that are sent again to a listener that comes back:
# entries of several breakers become visible in another order than their times.
OVERLAP = 5_000
# Events that a listener may be behind. It is then cut off, comes back and catches up.
MOST_BEHIND = 1_000
RETRY = "retry: 2000\n\n"

_Queue = asyncio.Queue[Transition | None]


class Feed:
    """Reads the histories while there are listeners.

    Args:
        fleet: all breakers of the store.
    """

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._listeners: set[_Queue] = set()
        # By breaker: the id of the last entry that was read.
        self._marks: dict[str, str] = {}
        self._reader: asyncio.Task[None] | None = None
        self._is_begun = asyncio.Event()

    async def listen(self, last_id: str, name: str | None) -> AsyncIterator[str]:
        """The stream for one listener.

        Args:
            last_id: the id of the last event that it has; empty: only what is new.
            name: only this breaker's events; None: all.
        """
        queue: _Queue = asyncio.Queue(MOST_BEHIND)
        self._listeners.add(queue)
        try:
            yield RETRY
            self._start()
            await self._is_begun.wait()
            if last_id.isascii() and last_id.isdigit():
                for event in await self._since(int(last_id) - OVERLAP):
                    if name in {None, event.name}:
                        yield told(event)
            async for text in self._live(queue, name):
                yield text
        finally:
            self._listeners.discard(queue)
            if not self._listeners:
                self.stop()

    def stop(self) -> None:
        """Stop reading."""
        if self._reader is not None:
            self._reader.cancel()
        self._reader = None
        self._is_begun.clear()

    def end(self) -> None:
        """Let every listener go, since the service ends."""
        for queue in self._listeners:
            with contextlib.suppress(asyncio.QueueFull):
                queue.put_nowait(None)
        self.stop()

    async def _live(self, queue: _Queue, name: str | None) -> AsyncIterator[str]:
        while queue in self._listeners:  # else it was too slow
            try:
                event = await asyncio.wait_for(queue.get(), HEARTBEAT)
            except TimeoutError:
                yield ": alive\n\n"
                continue
            if event is None:
                return
            if name in {None, event.name}:
                yield told(event)

    def _start(self) -> None:
        if self._reader is None:
            self._reader = asyncio.get_running_loop().create_task(self._read())

    async def _read(self) -> None:
        self._marks = {}
        is_first = True
        while True:
            began = time.monotonic()
            with contextlib.suppress(StoreError):  # what happens meanwhile is read afterwards
                new = await asyncio.to_thread(self._new, is_first=is_first)
                is_first = False
                self._is_begun.set()
                for event in new:
                    self._send(event)
            await asyncio.sleep(max(INTERVAL, SHARE * (time.monotonic() - began)))

    def _send(self, event: Transition) -> None:
        for queue in tuple(self._listeners):
            try:
                queue.put_nowait(event)
            except asyncio.QueueFull:
                self._listeners.discard(queue)

    def _new(self, *, is_first: bool) -> list[Transition]:
        """What was written since the last reading; the first one only finds out where to begin."""
        marks = {name: self._marks.get(name, "0") for name in self._fleet.names()}
        found = _in_order(self._fleet.histories(marks))
        self._marks = marks | {event.name: event.id for event in found}
        return [] if is_first else found

    async def _since(self, moment: int) -> list[Transition]:
        try:
            marks = dict.fromkeys(
                await asyncio.to_thread(self._fleet.names), f"{max(0, moment)}"
            )
            return await asyncio.to_thread(lambda: _in_order(self._fleet.histories(marks)))
        except StoreError:
            return []


def _in_order(found: Iterable[Transition]) -> list[Transition]:
    return sorted(found, key=moment_of)


def moment_of(event: Transition) -> tuple[int, int]:
    """The parts of an entry's id: milliseconds on the store's clock, and a counter."""
    milliseconds, _, counter = event.id.partition("-")
    return int(milliseconds), int(counter or 0)


def told(event: Transition) -> str:
    """One event as the stream has it."""
    data = json.dumps(asdict(event), default=_encode)
    return f"id: {moment_of(event)[0]}\nevent: {event.event}\ndata: {data}\n\n"


def _encode(value: datetime | Mapping[str, object]) -> object:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return dict(value)
