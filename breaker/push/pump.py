"""One subscription for each process and store: a thread that feeds the views.

Redis-py's own health check sends PING and never looks for the PONG, so a half-open connection
looks healthy for minutes. Here a PING goes out every second and must be answered within another:
since replies and pushed messages share one connection in order, its answer proves that every
change up to the PING has arrived. A view is trusted for TRUST seconds from then on.
"""

import contextlib
import json
import logging
import random
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial
from typing import Any

from breaker import forking
from breaker.alerts import tell
from breaker.errors import StoreError
from breaker.protocol.requests import Request
from breaker.push.view import View
from breaker.store.connect import Subscriber, open_subscriber
from breaker.store.outage import outage_of
from breaker.store.run_sync import SyncStore
from breaker.store.target import Target
from breaker.store.verdicts import is_store_error

PING = 1.0
DEADLINE = 1.0
TRUST = PING + DEADLINE
TICK = 0.2
# A forked child that runs one job and ends gains nothing from a subscription.
ASKS_BEFORE_START_IN_CHILD = 4
SLOWEST_RECONNECT = 2.0

_LOGGER = logging.getLogger("breaker")


Plan = Generator[Request, Any, Any]


@dataclass
class Feed:
    """A view, how to prove it, and how many breakers of this process share it."""

    view: View
    read: Callable[[], Plan]
    probe: Callable[[], Plan]
    users: int = 0

    def prove(self, store: SyncStore) -> None:
        """Read the whole state; the view is right from here on."""
        self.view.learn(store.run(self.read()), time.monotonic(), is_proof=True)


class Pump:
    """Keeps views fresh, from the first time that somebody needs one.

    Attributes:
        fresh_until: monotonic seconds until which the views may be trusted.
    """

    __slots__ = (
        "_asks_to_come",
        "_feeds",
        "_lock",
        "_outage",
        "_stop",
        "_thread",
        "fresh_until",
        "target",
    )

    def __init__(self, target: Target) -> None:
        self.target = target
        self.fresh_until = 0.0
        # Never changed but replaced, so that the thread sees at a glance whether it is the same.
        self._feeds: dict[str, Feed] = {}
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._asks_to_come = 0
        self._outage = outage_of(target)
        self._outage.on_begin = self._pause_trust

    def add(self, channel: str, read: Callable[[], Plan], probe: Callable[[], Plan]) -> View:
        """Feed a view from a channel.

        Args:
            channel: where its changes are published.
            read: the plan that reads the whole state.
            probe: the plan that writes something harmless.
        """
        with self._lock:
            if channel not in self._feeds:
                self._feeds = self._feeds | {channel: Feed(View(), read, probe)}
            feed = self._feeds[channel]
            feed.users += 1
            return feed.view

    def remove(self, channel: str) -> None:
        """Stop feeding a view, if nobody else uses it; with the last one the thread ends."""
        with self._lock:
            feed = self._feeds[channel]
            feed.users -= 1
            if feed.users == 0:
                self._feeds = {
                    name: one for name, one in self._feeds.items() if one is not feed
                }
                feed.view.distrust()
            if self._feeds:
                return
            self._stop.set()
            thread, self._thread = self._thread, None
        if thread and thread is not threading.current_thread():
            thread.join(timeout=2.0)

    def wake(self, *, is_wanted: bool = False) -> None:
        """Somebody had to ask the store: see to it that it does not stay so."""
        if self._thread is not None:
            return
        with self._lock:
            self._asks_to_come = 0 if is_wanted else self._asks_to_come - 1
            is_due = self._asks_to_come <= 0 and bool(self._feeds)
            if is_due and not self._is_running():
                self._stop = threading.Event()
                self._thread = threading.Thread(
                    target=self._run, args=(self._stop,), name="breaker-push", daemon=True
                )
                self._thread.start()

    def _is_running(self) -> bool:
        return self._thread is not None

    def after_fork(self) -> None:
        """In a child process there is no thread, and its locks may be held by nobody."""
        self._lock, self._stop, self._thread = threading.Lock(), threading.Event(), None
        self.fresh_until = 0.0
        self._asks_to_come = ASKS_BEFORE_START_IN_CHILD
        for feed in self._feeds.values():
            feed.view.after_fork()

    def _run(self, stop: threading.Event) -> None:
        failures = 0
        self._outage.has_prober = True
        while not stop.is_set():
            started = time.monotonic()
            for act in (partial(self._listen, stop), self._distrust):
                try:
                    act()
                except Exception as error:
                    if not is_store_error(error):
                        _LOGGER.exception("push: the subscription to %s failed", self.target)
            failures = 0 if time.monotonic() - started > SLOWEST_RECONNECT else failures + 1
            delay = min(SLOWEST_RECONNECT, 0.1 * 2 ** min(failures, 10))
            stop.wait(delay * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
        self._outage.has_prober = False

    def _pause_trust(self) -> None:
        """While the store is down, or takes no writes, a worker goes by its own breaker."""
        self.fresh_until = 0.0

    def _distrust(self) -> None:
        """Nothing is known any more; find out, so that no job has to, if the store is down."""
        self.fresh_until = 0.0
        feeds = tuple(self._feeds.values())
        for feed in feeds:
            feed.view.distrust()
        store = SyncStore(self.target, tell, self._outage)
        with contextlib.closing(store):
            self._probe(feeds, store)

    def _listen(self, stop: threading.Event) -> None:
        client, store = (
            open_subscriber(self.target),
            SyncStore(self.target, tell, self._outage),
        )
        closing = contextlib.closing
        with closing(client), closing(store), client.pubsub() as subscriber:
            subscribed: dict[str, Feed] = {}
            asked: float | None = None
            answered = 0.0
            while not stop.is_set():
                subscribed = self._follow(subscriber, subscribed, store)
                now = time.monotonic()
                if asked is None and now - answered >= PING:
                    subscriber.ping()
                    asked = now
                elif asked is not None and now - asked > DEADLINE:
                    message = f"no PONG within {DEADLINE} s"
                    raise TimeoutError(message)
                got = subscriber.get_message(timeout=TICK)
                if got and got["type"] == "pong" and asked is not None:
                    answered, asked = asked, None
                    self.fresh_until = 0.0 if self._outage.is_on else answered + TRUST
                elif got:
                    self._take(got, store)
                self._ask_for_proof(store)

    def _follow(
        self, subscriber: Subscriber, subscribed: dict[str, Feed], store: SyncStore
    ) -> dict[str, Feed]:
        """Subscribe to what is new and leave what is gone."""
        wanted = self._feeds
        if wanted is subscribed:
            return wanted
        if new := wanted.keys() - subscribed.keys():
            subscriber.subscribe(*new)
        if gone := subscribed.keys() - wanted.keys():
            subscriber.unsubscribe(*gone)
        for channel in wanted.keys() & subscribed.keys():
            # Closed and made anew since the last look: no confirmation will come for it.
            if wanted[channel] is not subscribed[channel]:
                wanted[channel].prove(store)
        return wanted

    def _take(self, got: dict[str, Any], store: SyncStore) -> None:
        feed = self._feeds.get(got["channel"].decode())
        if feed is None:
            return
        kind = got["type"]
        if kind == "subscribe" or (
            kind == "message" and feed.view.hear(json.loads(got["data"]), time.monotonic())
        ):
            feed.prove(store)
        # Before anything else: those who are told may be the last of a fleet to pause.
        feed.view.tell()

    def _ask_for_proof(self, store: SyncStore) -> None:
        # A single command that timed out may have begun an outage that the subscription knows
        # nothing of; jobs do not ask meanwhile, so its end has to be found here.
        feeds = tuple(self._feeds.values())
        if self._outage.is_due():
            self._probe(feeds, store)
        for feed in feeds:
            if feed.view.runs:
                feed.view.meter.mark(time.monotonic())
            if feed.view.wants_proof(time.monotonic()):
                feed.prove(store)
            feed.view.tell()

    def _probe(self, feeds: tuple[Feed, ...], store: SyncStore) -> None:
        # The subscription may be well while the store takes no writes: that is no reason to
        # make it anew.
        with contextlib.suppress(StoreError):
            for feed in feeds[:1]:
                store.run(feed.probe())


_by_store: dict[str, Pump] = {}
_lock = threading.Lock()


def pump_for(target: Target) -> Pump:
    """This process's pump for a store."""
    with _lock:
        if target.identity not in _by_store:
            _by_store[target.identity] = Pump(target)
        return _by_store[target.identity]


@forking.in_child
def _after_fork() -> None:
    global _lock  # noqa: PLW0603 - another thread may have held it at the fork
    _lock = threading.Lock()
    for pump in _by_store.values():
        pump.after_fork()
