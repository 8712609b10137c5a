"""What the faces ask instead of the store: a breaker's view, as long as it is fresh."""

import threading
from collections.abc import Callable
from time import monotonic

from breaker.model import Grant, Status
from breaker.protocol.keys import Keys
from breaker.protocol.meter import Meter
from breaker.protocol.replies import Reply, Snapshot
from breaker.push.delivery import Delivery
from breaker.push.feed import Plan
from breaker.push.moves import follow, leave
from breaker.push.pump import TRUST, Pump
from breaker.push.view import View
from breaker.store.target import Target


class Watch:
    """A breaker's view and the pump that feeds it."""

    # __slots__ here, in View and in Pump: between two jobs the processor's caches are cold, and an
    # instance's dictionary would be one more miss.
    __slots__ = ("_channel", "_is_closed", "_is_introduced", "_pump", "_view", "meter")

    def __init__(
        self,
        target: Target,
        channel: str,
        keys: Keys,
        read: Callable[[], Plan],
        probe: Callable[[], Plan],
    ) -> None:
        self._channel = channel
        self._is_closed = False
        self._is_introduced = False
        self._pump: Pump
        self._view: View = follow(target, channel, keys, read, probe, call=self._follow)
        self.meter: Meter = self._view.meter

    def known(self) -> Reply | None:
        """What the store last said, if nothing can have changed since but by time."""
        is_known = monotonic() < self._pump.fresh_until and self._view.is_proven
        return self._view.last if is_known else None

    def grant(self) -> Grant | None:
        """Leave to run a job that needs no asking."""
        if monotonic() < self._pump.fresh_until:
            return self._view.grant if self._is_introduced else None
        self._pump.wake()
        return None

    def runs(self) -> bool:
        """Whether the queue is known not to be paused."""
        if monotonic() < self._pump.fresh_until:
            return self._view.runs
        self._pump.wake()
        return False

    def is_quiet(self) -> bool:
        """Whether a success need not be sent."""
        return self._view.is_quiet and monotonic() < self._pump.fresh_until

    def paused_left(self) -> float | None:
        """Seconds that are left of a pause that is known for sure."""
        now = monotonic()
        if now < self._pump.fresh_until:
            return self._view.paused_left(now)
        self._pump.wake()
        return None

    @property
    def serial(self) -> int:
        """Grows with every change."""
        return self._view.serial

    @property
    def staleness(self) -> float | None:
        """Seconds since the pushed state was last confirmed; None if it is not trusted."""
        left = self._pump.fresh_until - monotonic()
        is_trusted = left > 0 and self._view.is_proven
        return max(0.0, TRUST - left) if is_trusted else None

    @property
    def last(self) -> Reply:
        """What the store last said; empty if nothing yet."""
        return self._view.last

    @property
    def told_at(self) -> float:
        """When it said so, in monotonic seconds."""
        return self._view.told_at

    def introduce(self, incarnation: str) -> None:
        """This worker has made itself known to the store's present state."""
        self._is_introduced = True
        self._view.introduce(incarnation)

    def learn(self, reply: Reply) -> None:
        """Take in an own reply, which is ahead of the push."""
        self._view.learn(reply, monotonic())

    def subscribe(
        self, callback: Callable[[Status], None], status_of: Callable[[Snapshot], Status]
    ) -> Callable[[], None]:
        """Call back with the present state as soon as it is known, then with every change."""

        def call(told: Snapshot) -> None:
            callback(status_of(told))

        delivery = Delivery(call, "a subscriber")
        self._pump.wake(is_wanted=True)
        end = self._view.listen(delivery.put)

        def stop() -> None:
            end()
            delivery.stop()

        return stop

    def notify(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` when anything is to be looked at anew; returns what ends that."""
        return self._view.notify(wake)

    def wait_for_change(self, serial: int, seconds: float) -> None:
        """Return at a change after `serial`, or after the given seconds."""
        changed = threading.Event()
        stop = self._view.notify(changed.set)
        try:
            if self._view.serial == serial:
                changed.wait(seconds)
        finally:
            stop()

    def close(self) -> None:
        """Stop watching; a second time does nothing."""
        if not self._is_closed:
            self._is_closed = True
            leave(self._pump, self._channel, self._follow)

    def _follow(self, pump: Pump) -> None:
        """This pump has the view by now."""
        self._pump = pump
