"""The outbox: a worker that is alive tells what stands in the history and was not told yet.

Each channel is a consumer group on the history of each breaker, so one process delivers an entry, and
acknowledges it when the other end has it. If that process dies, another one takes the entry after
its lease: told at least once, under an id that is always the same.
"""

import atexit
import contextlib
import logging
import math
import threading
from collections.abc import Callable, Iterator
from time import monotonic

from breaker import forking
from breaker.alerts import chosen, log, sentry
from breaker.alerts.channel import Channel, NotDelivered
from breaker.errors import BreakerError, StoreRefused
from breaker.jitter import uniform
from breaker.model import Transition
from breaker.protocol import outbox
from breaker.protocol.keys import Keys
from breaker.protocol.outbox import Entry
from breaker.store.run_sync import SyncStore
from breaker.store.target import Target

# Seconds after which the other processes look whether the one that made a transition has told it.
LOOK_FROM = 0.1
LOOK = 0.6
# About how many of the processes that heard of it look.
LOOKERS = 16
# Seconds until the next attempt after the first failure, and at most.
SHORTEST = 1.0
LONGEST = 60.0
# Seconds between two looks while the store does not answer.
STORE_IS_AWAY = 5.0
# Seconds without work after which a thread ends.
LINGER = 2.0
# Seconds that the end of the interpreter waits for what this process has just caused.
AT_EXIT = 2.0
# Seconds between two renewals of the lease while an alert is on its way.
RENEW = 2.0

_LOGGER = logging.getLogger("breaker")

History = Callable[[], list[Transition]]
Send = Callable[[Transition, History], None]


class Courier:
    """Delivers one channel's entries, on a thread that lives while there are any.

    Args:
        target: the store.
        group: the channel's consumer group.
        send: delivers one transition; gets also what reads the history before it.
    """

    def __init__(
        self,
        target: Target,
        group: str,
        send: Send,
    ) -> None:
        self._target = target
        self._group = group
        self._send = send
        # When to look at each breaker, in monotonic seconds.
        self._due: dict[Keys, float] = {}
        self._changed = threading.Condition()
        self._is_running = False
        # Those whose news this process has made: its end waits for them.
        self._own: set[Keys] = set()
        self._is_failure_said = False

    def look(self, keys: Keys, delay: float) -> None:
        """Look at one breaker's history after this delay in seconds."""
        with self._changed:
            self._due[keys] = min(self._due.get(keys, math.inf), monotonic() + delay)
            if delay == 0.0:
                self._own.add(keys)
            if self._is_running:
                self._changed.notify_all()
                return
            self._is_running = True
        threading.Thread(target=self._run, name="breaker-alerts", daemon=True).start()

    def finish(self, until: float) -> None:
        """Wait for what this process has just made, and no longer."""
        with self._changed:
            self._changed.wait_for(lambda: not self._own, timeout=max(0.0, until - monotonic()))

    def _run(self) -> None:
        store = SyncStore(self._target, _tell_nothing)
        with contextlib.closing(store):
            while (keys := self._next()) is not None:
                again = self._visit(store, keys)
                with self._changed:
                    if again != 0.0:
                        self._own.discard(keys)
                    self._changed.notify_all()
                if again is not None:
                    self.look(keys, again)

    def _next(self) -> Keys | None:
        """The next breaker to look at, when it is due; None: there was none for a while."""
        linger = monotonic() + LINGER
        with self._changed:
            while True:
                now = monotonic()
                keys = min(self._due, key=self._due.__getitem__, default=None)
                due = self._due[keys] if keys is not None else linger
                if keys is not None and due <= now:
                    del self._due[keys]
                    return keys
                if keys is None and linger <= now:
                    self._is_running = False
                    return None
                self._changed.wait(due - now)

    def _visit(self, store: SyncStore, keys: Keys) -> float | None:
        """Deliver what is to be told; returns in how many seconds to look again, if at all."""
        try:
            return self._deliver(store, keys)
        except BreakerError as error:
            is_refused = isinstance(
                error, StoreRefused
            )  # an outage is what the workers tell of
            if is_refused and not self._is_failure_said:
                self._is_failure_said = True
                _LOGGER.warning("alerts: the history cannot be read: %s", error)
            return STORE_IS_AWAY * uniform(1.0, 2.0)
        except BaseException:  # SystemExit too: it would end this thread, and no process
            _LOGGER.exception("%s: telling of it failed", keys.name)
            return LONGEST * uniform(0.5, 1.0)

    def _deliver(self, store: SyncStore, keys: Keys) -> float | None:
        taken = store.run(outbox.take(keys, self._group))
        self._is_failure_said = False
        for number, entry in enumerate(taken.entries):
            ids = tuple(each.id for each in taken.entries[number:])
            with self._renewed(store, keys, ids):
                failure = self._try(store, keys, entry)
            if failure is not None:
                store.run(outbox.hold(keys, self._group, _pause_after(failure, entry)))
                return 0.0
            store.run(outbox.acknowledge(keys, self._group, entry))
        if taken.entries:
            return 0.0
        return None if taken.again is None else taken.again + uniform(0.0, 0.3)

    def _try(self, store: SyncStore, keys: Keys, entry: Entry) -> NotDelivered | None:
        """Deliver one entry; returns why it is to be tried again, if it is."""
        if entry.transition is None:
            return None
        name, event = keys.name, entry.transition.event
        try:
            self._send(entry.transition, lambda: store.run(outbox.history_before(keys, entry)))
        except BreakerError:
            raise
        except NotDelivered as failure:
            if failure.is_final:
                _LOGGER.error(  # noqa: TRY400 - where it was raised says nothing
                    "%s: %s refused the alert %r for good: %s",
                    *(name, self._group, event, failure),
                )
                return None
            _LOGGER.warning(
                "%s: the alert %r did not reach %s (attempt %d): %s; it is tried again",
                *(name, event, self._group, entry.deliveries, failure),
            )
            return failure
        except BaseException as error:
            _LOGGER.warning(
                "%s: the alert %r did not reach %s (attempt %d); it is tried again",
                *(name, event, self._group, entry.deliveries),
                exc_info=error,
            )
            return NotDelivered(str(error))
        return None

    @contextlib.contextmanager
    def _renewed(self, store: SyncStore, keys: Keys, ids: tuple[str, ...]) -> Iterator[None]:
        """Keep the entries while one of them is on its way for longer than a lease."""
        is_done = threading.Event()

        def renew() -> None:
            with contextlib.suppress(Exception):  # then another worker may send it too
                while not is_done.is_set():
                    store.run(outbox.renew(keys, self._group, ids))
                    is_done.wait(RENEW)

        timer = threading.Timer(RENEW, renew)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            is_done.set()
            timer.cancel()


def _pause_after(failure: NotDelivered, entry: Entry) -> float:
    backoff: float = min(LONGEST, SHORTEST * 2 ** min(entry.deliveries - 1, 10))
    return max(backoff, failure.retry_after or 0.0)


def _tell_nothing(*_: object) -> None:
    """Plans of the outbox change no state."""


class _Alerts:
    """Makes alerts of transitions, for one channel."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def __call__(self, transition: Transition, history: Callable[[], list[Transition]]) -> None:
        from breaker.alerts import compose  # noqa: PLC0415 - not before the first transition

        kind, kinds = compose.kind_of(transition), self._channel.kinds
        alert = compose.alert_of(transition) if kind in kinds else None
        if alert is None:
            return
        if kind == "recovery" and not compose.ends_a_trip(history()):
            return
        if kind in {"trip", "quota"} and "flapping" in kinds:
            alert = compose.digest(alert, history())
        if alert is not None:
            self._channel.send(alert)


def _write(transition: Transition, _history: History) -> None:
    with sentry.no_second_event(transition):
        log.write(transition)


_couriers: dict[tuple[str, str], Courier] = {}
_lock = threading.Lock()
_is_silent = False


def leave_to_others() -> None:
    """This process tells of nothing, since it is a command and no worker."""
    global _is_silent  # noqa: PLW0603 - one process is one thing
    _is_silent = True


def look(target: Target, keys: Keys, *, is_own: bool, listeners: int = 0) -> None:
    """Have what is new in a history told by one process of the fleet.

    Args:
        target: the store.
        keys: those of the breaker.
        is_own: this process has just made it; else others may have told it by then.
        listeners: how many processes have heard of it.
    """
    if _is_silent or (not is_own and listeners and uniform(0.0, listeners) > LOOKERS):
        return
    delay = 0.0 if is_own else uniform(LOOK_FROM, LOOK)
    for courier in _couriers_of(target):
        courier.look(keys, delay)


def note_loss(target: Target, keys: Keys, loss: Transition) -> None:
    """Write into the history that the state was lost, so that the channels get it like all else."""
    store = SyncStore(target, _tell_nothing)
    with contextlib.closing(store), contextlib.suppress(BreakerError):
        store.run(outbox.note_loss(keys, loss))


def _couriers_of(target: Target) -> list[Courier]:
    found = [_courier(target, "log", _write)]
    found += [_courier(target, one.name, _Alerts(one)) for one in chosen.channels()]
    return found


def _courier(target: Target, group: str, send: Send) -> Courier:
    with _lock:
        if not _couriers:
            atexit.register(_finish)
        key = (target.identity, group)
        if key not in _couriers:
            _couriers[key] = Courier(target, group, send)
        return _couriers[key]


def _finish() -> None:
    until = monotonic() + AT_EXIT
    for courier in tuple(_couriers.values()):
        courier.finish(until)


@forking.in_child
def _after_fork() -> None:
    global _lock  # noqa: PLW0603 - another thread may have held it at the fork
    _lock = threading.Lock()
    _couriers.clear()
