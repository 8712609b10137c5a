"""The local picture of one breaker. It decides nothing: it repeats what the store last said.

What may be answered from it, and when, is I2 and I9 of the design: only what the store said of
this incarnation, in the order of its versions, and only while the subscription is fresh, which
`breaker.push.pump` sees to.
"""

import contextlib
import math
import random
import threading
from collections.abc import Callable
from typing import Any, cast

from breaker.model import Grant
from breaker.protocol.meter import Meter
from breaker.protocol.replies import Reply, Snapshot

# Seconds without a word of an error after which the store is asked whether all is calm.
CALM = 3.0
# Seconds after which the store is asked anyway: what was flushed or evicted, or edited by hand, is
# not pushed. Spread, so that a fleet does not ask at one moment.
PROOF_EVERY = 30.0

Callback = Callable[..., Any]
_FLEETING = frozenset(
    [
        "resumes_in_ms",
        "untold_for_ms",
        "lease_left_ms",
        "pace",
        "told",
        "asks",
        "opened_at",
        "trip_id",
        "transitions",
        "tripped",
    ]
)


class View:
    """What is known of one breaker.

    Attributes:
        runs: the queue is not paused, for sure.
        grant: leave that may be given without asking; None if the store must be asked.
        is_quiet: nobody counts errors: successes need not be sent.
        serial: grows with everything the store announces.
        last: what the store last said.
        told_at: when, in monotonic seconds.
        meter: what this process delivers of the breaker's jobs.
    """

    __slots__ = (
        "_is_proven",
        "_known_to",
        "_listeners",
        "_lock",
        "_paused_until",
        "_proven_at",
        "_quiet_from",
        "_told_serial",
        "_waiting",
        "grant",
        "is_quiet",
        "last",
        "meter",
        "runs",
        "serial",
        "told_at",
    )

    def __init__(self) -> None:
        self.runs = False
        self.grant: Grant | None = None
        self.is_quiet = False
        self.serial = 0
        self.last: Snapshot = {}
        self.told_at = 0.0
        self.meter = Meter()
        self._paused_until: float | None = None
        self._known_to = ""
        self._is_proven = False
        self._quiet_from = math.inf
        self._proven_at = 0.0
        self._lock = threading.Lock()
        self._told_serial = -1
        self._listeners: list[Callable[[Snapshot], None]] = []
        self._waiting: list[Callable[[], None]] = []

    @property
    def is_proven(self) -> bool:
        """Whether what the store said last was read after the subscription was confirmed."""
        return self._is_proven

    def paused_left(self, now: float) -> float | None:
        """Seconds that are left of a pause: infinite if forced, None if none is known."""
        until = self._paused_until
        return until - now if until is not None and until > now else None

    def introduce(self, incarnation: str) -> None:
        """This worker has made itself known to the store's present state."""
        with self._lock:
            if self._known_to == incarnation:
                return
            self._known_to = incarnation
            if self._is_proven and self.last.get("incarnation") == incarnation and self.runs:
                self.grant = _grant(self.last)
                self._quiet_from = 0.0

    def hear(self, told: Reply, now: float) -> bool:
        """Take in what was pushed. Returns whether the store must be asked for proof."""
        if told.get("incarnation") != self.last.get("incarnation"):
            return self._is_proven
        self.learn(told, now)
        return False

    def learn(self, told: Reply, now: float, *, is_proof: bool = False) -> None:
        """Take in what the store said.

        Args:
            told: a view or a brief view.
            now: monotonic seconds.
            is_proof: it was read after the subscription was confirmed.
        """
        with self._lock:
            if not (is_proof or self._is_proven):
                return
            if self._is_proven and self._is_older(told):
                return
            if is_proof:
                self._proven_at = now - random.uniform(0, PROOF_EVERY / 2)  # noqa: S311 - jitter
            is_change = not self._is_proven or _announced(told) != _announced(self.last)
            self.serial += is_change
            self._is_proven = True
            self.last = cast("Snapshot", told if is_proof else _lasting(self.last) | told)
            self._draw(told, now)
            waiting = tuple(self._waiting) if is_change else ()
        for wake in waiting:
            wake()

    def tell(self) -> None:
        """Call the listeners if there is news for them; from one thread only, so in order."""
        with self._lock:
            if not self._is_proven or self._told_serial == self.serial:
                return
            self._told_serial, last = self.serial, self.last
            listeners = tuple(self._listeners)
        for listener in listeners:
            listener(last)

    def wants_proof(self, now: float) -> bool:
        """Whether the store should be asked: is all calm again, or has it lost its state?"""
        if not self._is_proven:
            return False
        return now >= self._quiet_from or now >= self._proven_at + PROOF_EVERY

    def distrust(self) -> None:
        """The subscription is gone: nothing is known until there is proof again."""
        with self._lock:
            self._is_proven = False
            self.grant, self.runs, self.is_quiet, self._paused_until = None, False, False, None
            self._quiet_from = math.inf
            self.serial += 1
            waiting = tuple(self._waiting)
        for wake in waiting:
            wake()

    def listen(self, listener: Callable[[Snapshot], None]) -> Callable[[], None]:
        """Have tell() call `listener` with what is known, then with changes; returns what ends it."""
        with self._lock:
            self._listeners.append(listener)
            self._told_serial = -1
        return lambda: self._forget(self._listeners, listener)

    def notify(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` when anything is to be looked at anew; returns what ends that."""
        with self._lock:
            self._waiting.append(wake)
        return lambda: self._forget(self._waiting, wake)

    def _forget(self, known: list[Callback], one: Callback) -> None:
        with self._lock, contextlib.suppress(ValueError):
            known.remove(one)

    def after_fork(self) -> None:
        """Make it usable in a child process, where the lock may be held by nobody."""
        self._lock = threading.Lock()
        self.meter.forget()
        self._listeners, self._waiting = [], []
        self.distrust()

    def _is_older(self, told: Reply) -> bool:
        is_same = told.get("incarnation") == self.last.get("incarnation")
        return is_same and bool(told["version"] < self.last["version"])

    def _draw(self, told: Reply, now: float) -> None:
        self.runs = told["state"] in ("closed", "disabled") and not told["paused"]
        is_introduced = told.get("incarnation", "-") == self._known_to
        is_calm = "exists" in told and told["count"] == 0 and "untold_for_ms" not in told
        self.grant = _grant(told) if self.runs and is_introduced else None
        self.is_quiet = self.runs and is_introduced and is_calm
        self._quiet_from = self._next_proof(told, now)
        left = told.get("resumes_in_ms")
        forced = math.inf if told["paused"] else None
        self._paused_until = now + left / 1000 if left is not None else forced
        self.told_at = now

    def _next_proof(self, told: Reply, now: float) -> float:
        """When to ask whether all is calm; never while only an own success can make it so."""
        if not self.runs or self.is_quiet:
            return math.inf
        if "untold_for_ms" in told:
            return now + CALM
        return math.inf if told["count"] > 0 else min(self._quiet_from, now + CALM)


def _grant(told: Reply) -> Grant:
    return Grant("", int(told["epoch"]), int(told["run"]), is_probe=False)


def _announced(told: Reply) -> tuple[Any, Any]:
    """What a waiting worker need not be woken for is not announced: a slot taken by another."""
    return told.get("incarnation"), told["news"]


def _lasting(told: Reply) -> Reply:
    """What a brief view leaves as it was."""
    return cast("Reply", {key: value for key, value in told.items() if key not in _FLEETING})
