"""One subscription for each process and store, or shard of it: a thread that feeds the views.

A view is trusted for TRUST seconds from the moment at which the newest answered request was sent.
"""

import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from breaker import forking
from breaker.alerts import tell
from breaker.errors import StoreError, StoreRefused, StoreUnavailable
from breaker.jitter import uniform
from breaker.protocol.keys import Keys
from breaker.protocol.requests import Tell
from breaker.push.delivery import Delivery
from breaker.push.feed import Feed, Plan, Read
from breaker.push.reader import HEARTBEAT, Ears, Reader
from breaker.push.view import View
from breaker.store.link import DEADLINE, Link
from breaker.store.outage import outage_of
from breaker.store.run_sync import SyncStore
from breaker.store.target import Target
from breaker.store.topology import Shard, topology_of
from breaker.store.verdicts import is_moving, is_store_error, only_reads, translate

# Seconds for which an answered heartbeat lets the views be trusted.
TRUST = HEARTBEAT + DEADLINE
# A forked child that runs one job and ends gains nothing from a subscription.
ASKS_BEFORE_START_IN_CHILD = 4
# Seconds between two connections.
FASTEST_RECONNECT = 0.1
SLOWEST_RECONNECT = 2.0

_LOGGER = logging.getLogger("breaker")


class Pump:
    """Background thread that keeps views fresh; started when a view is first needed.

    Args:
        shard: the part of the store from which they are fed.

    Attributes:
        fresh_until: monotonic seconds until which the views may be trusted.
    """

    __slots__ = (
        "_asks_to_come",
        "_changes",
        "_connected_at",
        "_feeds",
        "_is_refusal_said",
        "_lock",
        "_outage",
        "_stop",
        "_telling",
        "_thread",
        "fresh_until",
        "shard",
    )

    def __init__(self, shard: Shard) -> None:
        self.shard = shard
        self.fresh_until = 0.0
        self._feeds: dict[str, Feed] = {}
        # Feeds that came or went since the thread looked last.
        self._changes: deque[Feed] = deque()
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._asks_to_come = 0
        self._connected_at = 0.0
        self._is_refusal_said = False
        self._telling = Delivery(_call, "telling of a transition")
        self._outage = outage_of(shard)
        self._outage.on_begin = self._pause_trust

    def add(
        self,
        channel: str,
        keys: Keys,
        read: Read,
        probe: Callable[[], Plan],
        follow: Callable[["Pump"], None],
    ) -> View:
        """Feed a view from a channel.

        Args:
            channel: where its changes are published.
            keys: those of the breaker.
            read: the plan that reads the whole state.
            probe: the plan that writes something harmless.
            follow: is called with the pump that feeds it, now and whenever that is another one.
        """
        with self._lock:
            if channel not in self._feeds:
                self._feeds[channel] = feed = Feed(channel, keys, View(), read, probe)
                self._changes.append(feed)
            feed = self._feeds[channel]
            feed.users += 1
            feed.followers.add(follow)
        follow(self)
        return feed.view

    def remove(self, channel: str, follow: Callable[["Pump"], None]) -> threading.Thread | None:
        """Stop feeding a view, if no other breaker uses it.

        Returns:
            The thread, which ends if that was the last one.
        """
        with self._lock:
            feed = self._feeds[channel]
            feed.users -= 1
            feed.followers.discard(follow)
            if feed.users == 0:
                feed.view.end()
                return self._let_go(feed)
        return None

    def hand_over(self, feed: Feed, other: "Pump") -> None:
        """Have another pump feed a view from now on."""
        with self._lock:
            is_running = self._is_running()
            kept = replace(feed, is_asked=False)
            feed.users = 0
            self._let_go(feed)
        other.take_over(kept)
        if is_running:
            other.wake(is_wanted=True)

    def take_over(self, feed: Feed) -> None:
        """Feed a view that another pump has fed: nothing that it knows is sure here."""
        with self._lock:
            self._feeds[feed.channel] = feed
            self._changes.append(feed)
        feed.view.distrust()
        for follow in tuple(feed.followers):
            follow(self)

    def has(self, channel: str) -> bool:
        """Whether it feeds the view of this channel."""
        return channel in self._feeds

    def feeds(self) -> tuple[Feed, ...]:
        """What it feeds now."""
        return tuple(self._feeds.values())

    def _let_go(self, feed: Feed) -> threading.Thread | None:
        del self._feeds[feed.channel]
        self._changes.append(feed)
        if self._feeds:
            return None
        self._stop.set()
        thread, self._thread = self._thread, None
        return thread

    def wake(self, *, is_wanted: bool = False) -> None:
        """Start the thread, because a caller just had to ask the store."""
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
        """In a child process there is no thread, and no other one releases a lock."""
        self._lock, self._stop, self._thread = threading.Lock(), threading.Event(), None
        self._telling = Delivery(_call, "telling of a transition")
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
                except Exception as error:  # noqa: BLE001 - the thread has to go on
                    self._note(error)
            failures = 0 if time.monotonic() - started > SLOWEST_RECONNECT else failures + 1
            delay = min(SLOWEST_RECONNECT, FASTEST_RECONNECT * 2 ** min(failures, 10))
            stop.wait(delay * uniform(0.5, 1.0))
        self._outage.has_prober = False

    def _listen(self, stop: threading.Event) -> None:
        node = self._find_node()
        if node is None:
            return
        with self._lock:
            self._changes.clear()
            feeds = tuple(self._feeds.values())
        tick = partial(self._tick, node)
        ears = Ears(self._trust, self._note_down, self._tell, self._warn, tick)
        with contextlib.closing(Link(node, self.shard.store)) as link:
            self._connected_at = time.monotonic()
            Reader(link, feeds, self._changes, ears).run(stop)

    def _find_node(self) -> Target | None:
        """The server to subscribe at; None if the feeds of this pump are another one's by now."""
        if self.shard.node is None:
            topology_of(self.shard.store).look().result(DEADLINE)
        return self.shard.node

    def _trust(self, sent_at: float) -> None:
        if sent_at - self._connected_at > SLOWEST_RECONNECT:
            self._is_refusal_said = False  # it works: a later refusal is news
        if not self._outage.is_on:
            self.fresh_until = sent_at + TRUST
        # An outage may have begun since the look above.
        if self._outage.is_on:
            self.fresh_until = 0.0

    def _pause_trust(self) -> None:
        """While the store is down, or takes no writes, a worker uses its own breaker."""
        self.fresh_until = 0.0

    def _distrust(self) -> None:
        """Nothing is known any more; find out, so that no job has to, if the store is down."""
        self.fresh_until = 0.0
        for feed in tuple(self._feeds.values()):
            feed.view.distrust()
        self._probe()

    def _tick(self, node: Target) -> None:
        if node is not self.shard.node:
            message = f"the primary of {self.shard} is another server by now"
            raise StoreUnavailable(message)
        # A single command that timed out may have begun an outage that the subscription knows
        # nothing of; jobs do not ask meanwhile, so its end has to be found here.
        if self._outage.is_due():
            self._probe()

    def _probe(self) -> None:
        # The subscription may be well while the store takes no writes: that is no reason to
        # make it anew.
        feed = next(iter(tuple(self._feeds.values())), None)
        if feed is None:
            return
        store = SyncStore(self.shard.store, tell, outage_of, key=feed.channel)
        with contextlib.closing(store), contextlib.suppress(StoreError):
            store.run(feed.probe())

    def _note_down(self, error: StoreUnavailable, asked_at: float) -> None:
        cause = error.__cause__
        if is_moving(cause):
            where = getattr(cause, "host", ""), getattr(cause, "port", 0)
            topology_of(self.shard.store).look(where if where[0] else None)
            return
        is_read_only = isinstance(cause, Exception) and only_reads(cause)
        self._outage.failed(error, asked_at, is_read_only=is_read_only)

    def _note(self, error: Exception) -> None:
        """Say what ended the subscription, unless it is an outage, which says so itself."""
        if not is_store_error(error):
            _LOGGER.error("push: the subscription to %s failed", self.shard, exc_info=error)
            return
        refusal = error if isinstance(error, StoreError) else translate(error, self.shard.store)
        if isinstance(refusal, StoreRefused) and not self._is_refusal_said:
            self._is_refusal_said = True
            self._warn("push does not work, so the store is asked for each job: %s", refusal)

    def _tell(self, told: Tell) -> None:
        self._telling.put(partial(tell, told, self.shard.store))

    def _warn(self, text: str, *args: object) -> None:
        self._telling.put(partial(_LOGGER.warning, text, *args))


def _call(call: Callable[[], object]) -> None:
    call()


_by_store: dict[str, Pump] = {}
_lock = threading.Lock()


def pump_for(shard: Shard) -> Pump:
    """This process's pump for a store, or for a shard of it."""
    with _lock:
        if shard.identity not in _by_store:
            _by_store[shard.identity] = Pump(shard)
        return _by_store[shard.identity]


def pumps_for(store: Target) -> list[Pump]:
    """This process's pumps for all shards of a store."""
    with _lock:
        return [pump for pump in _by_store.values() if pump.shard.store is store]


@forking.in_child
def _after_fork() -> None:
    global _lock  # noqa: PLW0603 - another thread may have held it at the fork
    _lock = threading.Lock()
    for pump in _by_store.values():
        pump.after_fork()
