"""One life of the subscription: subscribe, prove, hear, and see that the other end is alive.

All of it goes over one connection and is never waited for, so that a thousand readings under way
hold up no pushed message. What a message costs does not depend on the number of breakers.
"""

import json
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

from breaker.errors import StoreError, StoreUnavailable
from breaker.protocol.asking import is_news
from breaker.protocol.requests import Tell
from breaker.push.feed import Feed, Reading
from breaker.push.view import PROOF_EVERY, View
from breaker.store.link import Link

# Seconds between two heartbeats.
HEARTBEAT = 1.0
# Seconds between two looks at what is due; a breaker that is new, or closed, waits at most this long.
TICK = 0.2
# How many channels are subscribed to, and how many states are read, by one send.
CHUNK = 100
# No more is sent while more than this many requests are not answered.
WINDOW = 100


@dataclass(frozen=True, slots=True)
class Ears:
    """The listener for the reader's news. None of its calls may block.

    Attributes:
        is_alive: gets the moment at which an answered heartbeat was sent, in monotonic seconds.
        is_down: gets what the store says if it does not carry commands out for now, and when it
            was asked.
        tell: gets transitions, and that there are some.
        warn: gets a text for the log, and its arguments.
        tick: is called now and then.
    """

    is_alive: Callable[[float], None]
    is_down: Callable[[StoreUnavailable, float], None]
    tell: Callable[[Tell], None]
    warn: Callable[..., None]
    tick: Callable[[], None]


class Reader:
    """Feeds views from one connection until it is stopped, or the connection ends.

    Args:
        link: the connection.
        feeds: what to subscribe to.
        changes: gets the feeds that come or go from then on; those without users go.
        ears: the listener.
    """

    def __init__(
        self, link: Link, feeds: Iterable[Feed], changes: deque[Feed], ears: Ears
    ) -> None:
        self._link = link
        self._changes = changes
        self._ears = ears
        self._feeds: dict[str, Feed] = {}
        self._to_subscribe: dict[str, None] = {}
        self._to_read: dict[Feed, None] = {}
        self._next_look = 0.0
        self._beat_at = -math.inf
        self._is_beating = False
        self._turn = 0
        for feed in feeds:
            self._follow(feed)

    def run(self, stop: threading.Event) -> None:
        """Go on until told to stop.

        Raises:
            Exception: the connection is lost or was never allowed.
        """
        while not stop.is_set():
            now = time.monotonic()
            if now >= self._next_look:
                self._look(now)
            self._send()
            if got := self._link.receive(max(0.0, self._next_look - time.monotonic())):
                self._hear(got)

    def _look(self, now: float) -> None:
        self._ears.tick()
        while self._changes:
            self._follow(self._changes.popleft())
        if not self._is_beating and now - self._beat_at >= HEARTBEAT:
            self._beat(now)
        self._next_look = now + TICK
        for feed in self._feeds.values():
            view = feed.view
            if view.due <= now and not feed.is_asked:
                self._to_read[feed] = None
            elif view.alarm < self._next_look:
                self._next_look = max(now, view.alarm)
            if view.is_deaf is not feed.is_deafness_said:
                self._say_deafness(feed)

    def _follow(self, feed: Feed) -> None:
        """Subscribe to a feed that is new, leave one that is gone."""
        known = self._feeds.get(feed.channel)
        if feed.users == 0:
            if known is feed:
                del self._feeds[feed.channel]
                self._to_read.pop(feed, None)
                self._link.subscribe([feed.channel], is_end=True)
            return
        self._feeds[feed.channel] = feed
        feed.is_asked = False
        if known is None:
            self._to_subscribe[feed.channel] = None
        elif known is not feed:
            # Closed and made anew since the last look. The channel is still subscribed to, so
            # that no confirmation will come: read the state now.
            self._to_read[feed] = None

    def _send(self) -> None:
        """Subscribe and read in chunks, as long as the store keeps up."""
        if self._to_subscribe and len(self._link) < WINDOW:
            chunk = [*islice(self._to_subscribe, CHUNK)]
            for channel in chunk:
                del self._to_subscribe[channel]
            self._link.subscribe(chunk)
        if self._to_read and len(self._link) < WINDOW:
            readings = [Reading(feed, self._ears.tell) for feed in islice(self._to_read, CHUNK)]
            for reading in readings:
                del self._to_read[reading.feed]
            self._link.ask(
                [(reading.ask, partial(self._take, reading)) for reading in readings]
            )

    def _take(self, reading: Reading, answer: Any) -> None:
        feed, error = reading.feed, reading.take(answer)
        if isinstance(error, StoreUnavailable):
            self._ears.is_down(error, reading.sent_at)
        elif error and not feed.is_refusal_said:
            self._ears.warn(
                "push: %s cannot be read, so the store is asked for each of its jobs: %s",
                feed.channel,
                error,
            )
        feed.is_refusal_said = error is not None and not isinstance(error, StoreUnavailable)

    def _hear(self, got: list[Any]) -> None:
        feed = self._feeds.get(got[1].decode(errors="replace"))
        if feed is None:
            return
        if got[0] == b"subscribe":
            self._to_read[feed] = None
        elif got[0] == b"message":
            before = feed.view.last
            try:
                needs_proof = feed.view.hear(json.loads(got[2]), time.monotonic())
            except (ValueError, KeyError, TypeError, AttributeError):
                return  # published by hand, not by a script
            if is_news(before, feed.view.last):
                self._ears.tell(Tell((), feed.keys, feed.view.last["listeners"]))
            if needs_proof:
                self._to_read[feed] = None

    def _beat(self, now: float) -> None:
        """Ask for something that is answered at once: how much one breaker has published.

        One after the other, so that a push that is lost does not go unnoticed until the next
        reading of the whole state. It costs no more than a PING.
        """
        self._beat_at, self._is_beating = now, True
        feeds = [*self._feeds.values()]
        for feed in feeds:
            if feed.view.runs:
                feed.view.meter.mark(now)
        self._turn += 1
        looked_at = feeds[self._turn % len(feeds)] if feeds else None
        owed = [(feed, feed.view.owed) for feed in feeds if feed.view.owed]
        take = partial(self._take_beat, now, owed)
        if looked_at and looked_at.view.is_proven and now >= looked_at.look_from:
            command = ("HMGET", looked_at.state_key, "incarnation", "news")
            self._link.send([(command, partial(take, looked_at))])
        else:
            self._link.send([(("PING",), partial(take, None))])

    def _take_beat(
        self, sent_at: float, owed: list[tuple[Feed, int]], looked_at: Feed | None, answer: Any
    ) -> None:
        self._is_beating = False
        if isinstance(answer, StoreError) and looked_at is None:
            raise answer
        self._ears.is_alive(sent_at)
        for feed, news in owed:
            feed.view.check_owed(news)
        if looked_at is None:
            return
        if isinstance(answer, StoreError):
            # The store's user may not, or the key was spoilt, which the reading finds out.
            looked_at.look_from = time.monotonic() + PROOF_EVERY
            self._to_read[looked_at] = None
        elif _is_another(looked_at.view, answer):
            # Seldom is one breaker's state lost alone, and looking at one a second takes long.
            self._to_read.update(dict.fromkeys(self._feeds.values()))

    def _say_deafness(self, feed: Feed) -> None:
        feed.is_deafness_said = feed.view.is_deaf
        if feed.is_deafness_said:
            self._ears.warn(
                "push: a change was published on %s and did not arrive; the store is asked for "
                "each job until one does (may the store's user PUBLISH there?)",
                feed.channel,
            )
        else:
            self._ears.warn("push: changes on %s arrive again", feed.channel)


def _is_another(view: View, answer: list[bytes | None]) -> bool:
    incarnation, news = answer
    said = None if incarnation is None else incarnation.decode(errors="replace")
    return view.check_last(said, int(news or 0))
