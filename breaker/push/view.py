"""The local picture of one breaker. It decides nothing: it repeats what the store last said.

Workers answer from it only what the store said of the current incarnation, in the order of its
versions, and only while the subscription is fresh (see `breaker.push.pump`).
"""

import math
import threading
from collections.abc import Callable
from typing import cast

from breaker.jitter import uniform
from breaker.model import Grant
from breaker.protocol.meter import Meter
from breaker.protocol.replies import Reply, Snapshot

# Between CALM_FROM and CALM seconds after the last pushed error, the store is asked whether the
# count is 0 again: at a random moment, for all of a fleet heard of the error at once.
CALM_FROM = 1.4
CALM = 2.4
# Seconds until the whole state is read anyway, for a flush, an eviction and an edit by hand are
# not pushed. The half of it is random, so that a fleet does not ask at one moment.
PROOF_EVERY = 30.0
# Seconds between two readings for the subscribers of a breaker whose pushes are lost.
DEAF_PROOF_EVERY = 1.0
# Seconds after the end of a pause at which the store is asked what came of it.
PAUSE_IS_OVER = 0.005

_FLEETING = frozenset(
    [
        "resumes_in_ms",
        "untold_for_ms",
        "lease_left_ms",
        "pace",
        "told",
        "held",
        "asks",
        "opened_at",
        "trip_id",
        "transitions",
        "tripped",
        "push_lost",
    ]
)
_RUNNING = ("closed", "disabled")


class View:
    """What is known of one breaker.

    Attributes:
        runs: the queue is not paused, for sure.
        grant: leave that may be given without asking; None if the store must be asked.
        is_quiet: no worker counts errors: successes need not be sent.
        is_proven: the state was read after the subscription was confirmed.
        is_deaf: a change was published and not pushed: the state is not trusted.
        serial: grows with everything the store announces.
        last: the store's newest reply.
        told_at: when it came, in monotonic seconds.
        due: when the whole state is to be read again, in monotonic seconds.
        alarm: when a subscriber is to hear of the end of a pause; infinite if there is no such.
        meter: what this process delivers of the breaker's jobs.
    """

    __slots__ = (
        "_calm_from",
        "_heard",
        "_is_calm",
        "_is_ended",
        "_known_to",
        "_listeners",
        "_lock",
        "_owed",
        "_paused_until",
        "_proof_at",
        "_pushed_version",
        "_told",
        "_waiting",
        "alarm",
        "due",
        "grant",
        "is_deaf",
        "is_proven",
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
        self.is_proven = False
        self.is_deaf = False
        self.serial = 0
        self.last: Snapshot = {}
        self.told_at = 0.0
        self.due = self.alarm = math.inf
        self.meter = Meter()
        self._paused_until: float | None = None
        self._known_to = ""
        self._is_calm = self._is_ended = False
        self._calm_from = self._proof_at = math.inf
        # The newest `news` that was pushed (infinite until a proof says where to count from), and
        # the newest that was read elsewhere.
        self._heard: float = math.inf
        self._owed = 0
        # The version in the newest message of the subscription's connection.
        self._pushed_version = 0
        self._lock = threading.Lock()
        self._told: tuple[object, object] | None = None
        # By a key of their own: to find one in a list of 10,000 would take 10,000 steps.
        self._listeners: dict[object, Callable[[Snapshot], None]] = {}
        self._waiting: dict[object, Callable[[], None]] = {}

    @property
    def owed(self) -> int:
        """The newest `news` that was read and not pushed yet, else 0."""
        return self._owed if self._owed > self._heard else 0

    def paused_left(self, now: float) -> float | None:
        """Seconds that are left of a pause: infinite if forced, None if none is known."""
        until = self._paused_until
        return until - now if until is not None and until > now else None

    def introduce(self, incarnation: str) -> None:
        """This worker has made itself known to the store's present state."""
        with self._lock:
            if self._known_to != incarnation:
                self._known_to = incarnation
                self._allow()

    def hear(self, pushed: Reply, now: float) -> bool:
        """Take in what was pushed. Returns whether the store must be asked for proof."""
        was_deaf, self.is_deaf = self.is_deaf, False
        pushed.pop("push_lost", None)  # that was the one before: this one has arrived
        is_doubtful = not self._is_of_this_state(pushed)
        if not is_doubtful:
            is_doubtful = pushed["version"] < self._pushed_version
            self._pushed_version = pushed["version"]
            self._heard = max(self._heard, pushed["news"])
            self.learn(pushed, now)
        return was_deaf or (is_doubtful and self.is_proven)

    def learn(
        self, told: Reply, now: float, *, is_proof: bool = False, version: int = 0
    ) -> None:
        """Take in what the store said.

        Args:
            told: a view or a brief view.
            now: monotonic seconds.
            is_proof: it came over the subscription's connection, so that everything which was
                published before it has been heard.
            version: the version that was known when the proof was asked for. An older one in the
                reply means that the store was taken back in time, which is accepted. Between the
                two lie own replies that came over another connection and overtook the proof.
        """
        with self._lock:
            if self._is_ended:
                return
            is_same = self._is_of_this_state(told)
            self.is_deaf = self.is_deaf or "push_lost" in told
            if is_proof:
                self._check_pushes(told, is_same=is_same and told["version"] >= version)
                self._proof_at = now + _proof_in()
            elif not self.is_proven:
                return
            elif is_same:
                self._owed = max(self._owed, told["news"])
            else:
                self._heard, self._proof_at = math.inf, now
            is_older = is_same and told["version"] < self.last["version"]
            is_overtaken = is_older and (not is_proof or told["version"] >= version)
            if is_overtaken and not self.is_deaf:
                self._take_overtaken(told)
                waiting: tuple[Callable[[], None], ...] = ()
            else:
                waiting = self._take(told, now, is_proof=is_proof)
        for wake in waiting:
            wake()

    def check_owed(self, news: int) -> None:
        """Distrust what is pushed if `news` was published before this moment and not pushed."""
        with self._lock:
            if not self.is_proven or news <= self._heard:
                return
            self.is_deaf = True
            waiting = self._forget_state()
        for wake in waiting:
            wake()

    def check_last(self, incarnation: str | None, news: int) -> bool:
        """Compare with what the store has published up to this moment.

        Returns:
            Whether the store must be asked for proof, because its state is another one.
        """
        is_same = self.last.get("incarnation") == incarnation
        if not self.is_proven or (is_same and news == self._heard):
            return False
        if is_same:
            self.check_owed(news)
        return not is_same or news < self._heard

    def listen(self, listener: Callable[[Snapshot], None]) -> Callable[[], None]:
        """Call `listener` with the present state, then with changes; returns what ends it.

        It is called under the view's lock, so it may only hand on.
        """
        key = object()
        with self._lock:
            self._listeners[key] = listener
            if self.is_proven:
                listener(self.last)
            self._set_due(self.told_at)
        return lambda: self._drop(self._listeners, key)

    def notify(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` when anything is to be looked at anew; returns what ends that."""
        key = object()
        with self._lock:
            self._waiting[key] = wake
        return lambda: self._drop(self._waiting, key)

    def _drop(self, known: dict[object, Callable[..., None]], key: object) -> None:
        with self._lock:
            known.pop(key, None)

    def wants_proof(self, now: float) -> bool:
        """Whether the store should be asked: is all calm again, or has it lost its state?"""
        return now >= self.due

    def distrust(self) -> None:
        """The subscription is gone: nothing is known until there is proof again."""
        with self._lock:
            waiting = self._forget_state()
            self.due = self.alarm = math.inf
        for wake in waiting:
            wake()

    def end(self) -> None:
        """No breaker uses it any more: a reading that is still under way must not revive it."""
        with self._lock:
            self._is_ended = True
        self.distrust()

    def postpone(self, now: float) -> None:
        """The state could not be read: it is not trusted, and asked for again later."""
        self._proof_at = now + _proof_in()
        self.distrust()
        self.due = self._proof_at

    def after_fork(self) -> None:
        """Make it usable in a child process, where no thread is left to release the lock."""
        self._lock = threading.Lock()
        self.meter.forget()
        self._listeners, self._waiting = {}, {}
        self.distrust()

    def _is_of_this_state(self, told: Reply) -> bool:
        return bool(self.last) and told.get("incarnation") == self.last.get("incarnation")

    def _forget_state(self) -> tuple[Callable[[], None], ...]:
        self.is_proven = self.runs = self.is_quiet = self._is_calm = False
        self.grant, self._paused_until = None, None
        self._calm_from = math.inf
        self.serial += 1
        self._set_due(self.told_at)
        return tuple(self._waiting.values())

    def _check_pushes(self, told: Reply, *, is_same: bool) -> None:
        """Compare what was published with what was pushed.

        The reading itself may have published the end of a pause; that push comes right after it.
        """
        if is_same and self.is_proven and self._heard != math.inf:
            self._owed = max(self._owed, told["news"])
            was_pushed = told["news"] <= self._heard + ("transitions" in told)
            self.is_deaf = self.is_deaf or not was_pushed
            self._heard = min(self._heard, told["news"])
        else:
            self._heard = self._owed = told["news"]
        self._pushed_version = told["version"]

    def _take(
        self, told: Reply, now: float, *, is_proof: bool
    ) -> tuple[Callable[[], None], ...]:
        is_change = (
            self.is_deaf or not self.is_proven or _announced(told) != _announced(self.last)
        )
        self._is_calm = self._is_calm_after(told)
        self.last = cast("Snapshot", told if is_proof else _lasting(self.last) | told)
        self.is_proven = not self.is_deaf
        self.serial += is_change
        self._draw(told, now)
        if self._listeners and self._told != _announced(self.last):
            self._told = _announced(self.last)
            for listener in self._listeners.values():
                listener(self.last)
        return tuple(self._waiting.values()) if is_change else ()

    def _take_overtaken(self, told: Reply) -> None:
        """A newer reply came first. Only a proof can still say something new: that all is calm."""
        is_still_so = told["news"] == self.last["news"] and self.last["count"] == 0
        if is_still_so and "exists" in told and _says_calm(told):
            self._is_calm, self._calm_from = True, math.inf
        self._allow()
        self._set_due(self.told_at)

    def _is_calm_after(self, told: Reply) -> bool:
        """Whether no errors are counted, and the next one would be pushed."""
        if "exists" in told:
            return _says_calm(told)
        return self._is_calm and told["count"] == 0 and told["news"] == self.last.get("news")

    def _draw(self, told: Reply, now: float) -> None:
        self.runs = told["state"] in _RUNNING and not told["paused"] and self.is_proven
        self._calm_from = self._next_look(told, now)
        left = told.get("resumes_in_ms")
        forced = math.inf if told["paused"] else None
        until = now + left / 1000 if left is not None else forced
        self._paused_until = until if self.is_proven else None
        self.told_at = now
        self._allow()
        self._set_due(now)

    def _allow(self) -> None:
        """Leave needs no asking where this worker is known to the state that runs."""
        is_known = self.runs and self.last.get("incarnation", "-") == self._known_to
        self.grant = _grant(self.last) if is_known else None
        self.is_quiet = is_known and self._is_calm

    def _next_look(self, told: Reply, now: float) -> float:
        """When to ask the store whether the count is 0 again.

        Never while errors are counted: then this worker's own success will tell.
        """
        if not self.runs or self._is_calm:
            return math.inf
        untold = cast("Snapshot", told).get("untold_for_ms")
        if untold is not None:
            return now + max(_calm_in(), untold / 1000)
        if told["count"] > 0:
            return math.inf
        return self._calm_from if self._calm_from != math.inf else now + _calm_in()

    def _set_due(self, now: float) -> None:
        self.alarm = math.inf
        if self._listeners and self._paused_until is not None:
            self.alarm = self._paused_until + PAUSE_IS_OVER
        is_blind = self._listeners and self.is_deaf
        self.due = min(
            now + DEAF_PROOF_EVERY if is_blind else math.inf,
            self._calm_from,
            self._proof_at,
            self.alarm,
        )


def _calm_in() -> float:
    return uniform(CALM_FROM, CALM)


def _proof_in() -> float:
    return PROOF_EVERY * uniform(0.5, 1.0)


def _says_calm(told: Reply) -> bool:
    return told["count"] == 0 and "untold_for_ms" not in told


def _grant(told: Reply) -> Grant:
    incarnation = str(told.get("incarnation", ""))
    epoch, run = int(told["epoch"]), int(told["run"])
    return Grant("", epoch, run, is_probe=False, incarnation=incarnation)


def _announced(told: Reply) -> tuple[object, object]:
    """Only changes of `news` wake waiting workers; a slot taken by another worker does not."""
    return told.get("incarnation"), told["news"]


def _lasting(told: Reply) -> Reply:
    """What a brief view leaves as it was."""
    return cast("Reply", {key: value for key, value in told.items() if key not in _FLEETING})
