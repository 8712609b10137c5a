"""Waiting callers: how long they sleep, their turns in the line, the slots that wait() reserved."""

import contextlib
import math
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeVar

from breaker.model import Grant, LocalState
from breaker.protocol.asking import Asker
from breaker.protocol.replies import Leave, Reply
from breaker.protocol.requests import Request, Sleep, Watching

# How often, in seconds, a waiting worker asks again without push, to hear of an operator's resume.
POLL = 1.0
# While push tells of a pause, a waiter sleeps at most this many seconds at a time, then looks at
# local memory again. That costs no command.
LOOK = 2.0
# Workers waiting for the same pause wake at random times, spread over this share of the wait.
SPREAD = 0.1
# When one pushed change wakes many workers, each first waits a random time of up to this many
# seconds ...
WAKE_SPREAD = 0.05
# ... in a large fleet longer, so that all of them together ask at most this many times a second.
MOST_A_SECOND = 2000
# A worker without push cannot be told that its slot was revoked, so it sleeps at most this many
# seconds for a slot, then asks again.
LONGEST_BLIND = 0.25
# Seconds for which a slot reserved by wait() stays valid.
SLOT_KEPT = 1.0
# How many turns and how many slots a process keeps.
MOST_KEPT = 100
# How many waiting threads or tasks are remembered.
MOST_WAITERS = 1000

T = TypeVar("T")


@dataclass(slots=True)
class Turn:
    """A place in the line: when a caller that got no slot should ask again.

    Attributes:
        at: monotonic seconds.
        told: the pace by which it was given.
        number: names the turn to the store, which keeps its slot for it; 0 if the line is full.
        reply: the store's reply.
    """

    at: float
    told: float
    number: int
    reply: Reply


@dataclass(slots=True)
class Place:
    """Mutable holder for a waiting caller's turn, so that acquire() can hand it on."""

    turn: Turn | None


@dataclass(frozen=True, slots=True)
class Kept:
    """A slot that wait() reserved: for whom, and until when in monotonic seconds."""

    until: float
    grant: Grant
    owner: int


class Line:
    """The waiting callers of one breaker in one process.

    Args:
        asker: whose replies and clock count.
        watch: the local picture, if there is push.
        random: a number from 0 to 1, for the spread of waits.
        who: names the calling thread or task.

    Attributes:
        lost: permits whose answers never came: the store may have given a lease for them.
        left_turns: turns whose callers timed out or were cancelled; the next caller takes one.
        kept_slots: slots that wait() reserved and that no job has used yet.
    """

    def __init__(
        self,
        asker: Asker,
        watch: Watching | None,
        random: Callable[[], float],
        who: Callable[[], int],
    ) -> None:
        self._asker = asker
        self._watch = watch
        self.random = random
        self.lost: deque[str] = deque(maxlen=MOST_KEPT)
        self.left_turns: deque[Turn] = deque(maxlen=MOST_KEPT)
        self.kept_slots: deque[Kept] = deque(maxlen=MOST_KEPT)
        self._unused: deque[str] = deque(maxlen=MOST_KEPT)
        self._who = who
        # The threads or tasks that call wait() before they take a job.
        self._waiters: set[int] = set()

    def after_fork(self) -> None:
        """In a forked child: the parent's slots and turns are not the child's."""
        self.lost.clear()
        self.left_turns.clear()
        self.kept_slots.clear()
        self._unused.clear()
        self._waiters.clear()

    # -- the local picture

    def known(self) -> Reply | None:
        """The store's last reply, if only time can have changed the state since."""
        return self._watch.known() if self._watch else None

    def serial(self) -> int:
        """The change counter, to be read before looking at the state."""
        return self._watch.serial if self._watch else 0

    def known_wait(self, turn: Turn | None) -> tuple[float | None, Reply | None]:
        """Seconds until a pause ends (None: no end) or a turn comes, and the reply that says so."""
        left = self._watch.paused_left() if self._watch else None
        if self._watch is not None and left is not None:
            return (None if left == math.inf else left), self._watch.last
        if turn and (until := self._until(turn)) > 0:
            return until, turn.reply
        return None, None

    def local_state(self) -> LocalState:
        """What is known without asking."""
        left = self._watch.paused_left() if self._watch else None
        if left is not None:
            return LocalState("paused", None if left == math.inf else left)
        known = self.known()
        if known is None or known["paused"]:  # what is left of a pause may be over
            return LocalState("unknown")
        if "pace" in known:
            return LocalState("paced", pace=known["pace"])
        return LocalState("closed" if self._watch and self._watch.runs() else "paced")

    # -- turns

    def place(self) -> Place:
        """A place for a new caller, with a turn that an earlier one has left."""
        return Place(_taken(self.left_turns))

    def leave(self, place: Place) -> None:
        """Hand a caller's turn to the next one."""
        if place.turn:
            self.left_turns.append(place.turn)

    def turn(self, reply: Leave) -> Turn | None:
        """The turn that a reply to acquire gives; None if nothing is paced."""
        now = self._asker.clock()
        if "pace" not in reply:
            return None
        if reply["granted"]:  # should the slot be revoked, the caller is next
            return Turn(now, reply["told"], int(reply["in_turn"]), reply)
        wait = reply["wait_ms"] / 1000
        if not reply["in_turn"]:
            wait *= 1 - self.random() / 2
        return Turn(now + wait, reply["told"], int(reply["in_turn"]), reply)

    def _until(self, turn: Turn) -> float:
        """Seconds until a turn comes, which is sooner if the pace has risen since."""
        now = self._asker.clock()
        pushed = (self.known() or self._asker.last_reply).get("told", 0.0)
        if pushed > turn.told > 0:
            turn.at, turn.told = now + (turn.at - now) * turn.told / pushed, pushed
        return turn.at - now

    # -- slots

    def reach_slot(self, grant: Grant, wait: float) -> Generator[Request, Any, bool]:
        """Sleep until one's slot; False if a change has revoked it by then."""
        end = self._asker.clock() + wait
        while True:
            # The change counter is read before the state: a change in between ends the sleep.
            serial = self.serial()
            if self.is_revoked(grant):
                return False
            if (left := end - self._asker.clock()) <= 0:
                return True
            yield Sleep(left, self._watch, serial)
            is_blind = self.known() is None
            if is_blind and not grant.is_local and wait > LONGEST_BLIND:
                return False

    def keep_slot(self, grant: Grant) -> None:
        """Keep a slot for the next job of this caller."""
        self.kept_slots.append(Kept(self._asker.clock() + SLOT_KEPT, grant, self._who()))

    def has_slot(self) -> bool:
        """Whether this caller has a kept slot; polling an empty queue does not extend it."""
        me = self._who()
        self._note_waiter(me)
        return any(kept.owner == me for kept in self._valid_slots())

    def take_slot(self) -> Grant | None:
        """Take this caller's kept slot.

        A caller that never waits may take another's: the job was fetched by one thread, and is run
        by another.
        """
        me = self._who()
        valid = self._valid_slots()
        own = [kept for kept in valid if kept.owner == me]
        for kept in own if me in self._waiters else own or valid:
            with contextlib.suppress(ValueError):  # another thread was faster
                self.kept_slots.remove(kept)
                return kept.grant
        return None

    def _valid_slots(self) -> list["Kept"]:
        now = self._asker.clock()
        valid = []
        for kept in tuple(self.kept_slots):
            is_revoked = self.is_revoked(kept.grant)
            if now < kept.until and not is_revoked:
                valid.append(kept)
                continue
            with contextlib.suppress(ValueError):
                self.kept_slots.remove(kept)
                if not is_revoked and not kept.grant.is_local:
                    self._unused.append(kept.grant.id)
        return valid

    def unused_slot(self) -> str | None:
        """Take the permit of a slot that was kept until its end, so that no job used it."""
        return _taken(self._unused)

    def _note_waiter(self, who: int) -> None:
        if len(self._waiters) > MOST_WAITERS:
            self._waiters.clear()
        self._waiters.add(who)

    def is_revoked(self, grant: Grant) -> bool:
        """Whether a slot is void: paused, slowed down, or not paced any more."""
        known = self.known()
        if not (known and grant.is_paced):
            return False
        return known["paused"] or known["epoch"] != grant.epoch or "pace" not in known

    # -- sleeping

    def sleep(
        self, wait: float | None, left: float, serial: int, reply: Reply
    ) -> Generator[Request, Any, None]:
        """Sleep towards the end of a pause, or towards a turn.

        Args:
            wait: seconds until then; None if only an operator can end the pause.
            left: seconds until the caller's timeout.
            serial: the change counter from before the state was looked at.
            reply: the store's reply that says so.
        """
        if "pace" in reply and not reply["paused"]:
            yield Sleep(max(0.0, min(wait or 0.0, LOOK, left)), self._watch, serial)
            return
        end = self._asker.clock() + left
        is_watched = self._watch is not None and self._watch.paused_left() is not None
        longest = LOOK if is_watched else POLL
        crowd = reply.get("listeners", 0) / MOST_A_SECOND
        if wait is None or wait > longest:
            seconds = longest
        else:
            seconds = wait + max(SPREAD * wait, crowd) * self.random()
        yield Sleep(max(0.0, min(seconds, left)), self._watch, serial)
        if self._watch and self._watch.serial != serial:
            spread = max(WAKE_SPREAD, crowd) * self.random()
            yield Sleep(max(0.0, min(spread, end - self._asker.clock())))


def _taken(line: deque[T]) -> T | None:
    """Take the first one; other threads may take it at the same moment."""
    try:
        return line.popleft()
    except IndexError:
        return None
