"""Each conversation with the store, once, for the sync and the async face.

A plan is a generator: it yields what to do (ask a script, send a command, sleep, tell about
transitions), is sent the answer, and returns the result. `breaker.store` has the two drivers.
"""

import json
import math
import os
import uuid
import weakref
from collections import deque
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, TypeVar

from breaker.classify import Allowance, allowance
from breaker.errors import BreakerOpen, ConfigurationError
from breaker.model import Grant, Status, Transition
from breaker.protocol import wire
from breaker.protocol.keys import Keys
from breaker.protocol.meter import Meter
from breaker.protocol.requests import Ask, Request, Send, Sleep, Tell, Watching
from breaker.protocol.scripts import script
from breaker.settings import LONGEST, Settings, duration_problems, option_problems, to_ms

# How often a waiting worker asks again, in seconds, so as to hear of an operator's resume.
POLL = 1.0
# Those who wait for the same moment come back spread over this share of the wait.
SPREAD = 0.1
# ... and those whom one change wakes within so many seconds, or however many it takes to keep a
# fleet from asking more often than so many times a second.
WAKE_SPREAD, MOST_A_SECOND = 0.05, 2000
# A pause that is known is waited for in spans of so many seconds, between which only local memory
# is looked at.
LOOK = 2.0
# A slot that was waited for without push was not called back, whatever happened meanwhile.
LONGEST_BLIND = 0.25
# Whoever waits before it dequeues has a slot in hand for so many seconds.
SLOT_KEPT = 1.0
# What is left of an allowance when the fleet begins to make it last: a share, or so many calls
# where the whole is not known.
SCARCE, FEW = 0.1, 10
ERROR_ID_LENGTH = 500
LONGEST_PAUSE = 31_536_000


T = TypeVar("T")


@dataclass(slots=True)
class Turn:
    """When somebody who found no slot may come again.

    Attributes:
        at: monotonic seconds.
        told: the pace by which it was given.
        is_expected: a slot near that moment is meant for whoever comes then.
        reply: what the store said.
    """

    at: float
    told: float
    is_expected: bool
    reply: wire.Reply


@dataclass(slots=True)
class Place:
    """Where somebody who waits stands: the turn, if there is one."""

    turn: Turn | None


class Plans:
    """The conversations about one breaker.

    Args:
        keys: its keys.
        channel: where its changes are published.
        worker: who is speaking.
        settings: what this worker declares.
        clock: monotonic seconds.
        random: a number from 0 to 1, for the spread of waits.
    """

    def __init__(
        self,
        keys: Keys,
        channel: str,
        worker: str,
        settings: Settings,
        *,
        watch: Watching | None = None,
        clock: Callable[[], float],
        random: Callable[[], float],
    ) -> None:
        self.keys = keys
        self.settings = settings
        self._channel = channel
        self._worker = worker
        self._settings = settings.to_wire()
        self._declaration = settings.to_wire(settings.given) if settings.given else ""
        self._watch = watch
        self._clock = clock
        self._random = random
        self._declared_for = ""
        self._incarnation = ""
        self._last_reply: wire.Reply = {}
        self._last_heard = 0.0
        self.meter = watch.meter if watch else Meter()
        # Turns of those who did not wait for them, and slots of those who are yet to dequeue.
        self._left_turns: deque[Turn] = deque(maxlen=100)
        self._kept_slots: deque[tuple[float, Grant]] = deque(maxlen=100)
        _all.add(self)

    # -- workers

    def acquire(self, timeout: float | None) -> Generator[Request, Any, Grant]:
        """Wait for leave to run one job."""
        _check_duration("timeout", timeout)
        if kept := self._kept_slot():
            return kept[1]
        place = Place(_taken(self._left_turns))
        try:
            grant = yield from self._wait_for_leave(timeout, place)
            place.turn = None
        finally:
            # Whoever gives up, or is cancelled, leaves the turn to the next one to come.
            if place.turn:
                self._left_turns.append(place.turn)
        return grant

    def _wait_for_leave(
        self, timeout: float | None, place: Place
    ) -> Generator[Request, Any, Grant]:
        start = self._clock()
        while True:
            serial = self._watch.serial if self._watch else 0
            if self._watch and (grant := self._watch.grant()):
                return grant
            left = self._left(timeout, start)
            yield from self._look_at_turn(place)
            wait, reply = self._known_wait(place.turn)
            if reply is None:
                permit_id = _token()
                reply = yield from self._ask_for_leave(permit_id, left, place.turn)
                place.turn = self._turn(reply)
                if reply["granted"]:
                    grant = wire.grant(permit_id, reply)
                    # Who comes in turn and cannot wait for it may go a little early.
                    wait = min(
                        wire.seconds(reply.get("wait_ms")) or 0.0, self._left(timeout, start)
                    )
                    if (yield from self._reach_slot(grant, wait)):
                        return grant
                    continue
                wait = wire.seconds(reply["wait_ms"] if reply["wait_ms"] >= 0 else None)
            if left <= 0:
                raise BreakerOpen(
                    self.keys.name,
                    retry_after=wait,
                    epoch=int(reply["epoch"]),
                    state=reply["state"],
                )
            yield from self._sleep(wait, left, serial, reply)

    def wait(self, timeout: float | None) -> Generator[Request, Any, bool]:
        """Wait until the queue may be read."""
        _check_duration("timeout", timeout)
        start = self._clock()
        while True:
            serial = self._watch.serial if self._watch else 0
            if self._watch and self._watch.runs():
                return True
            left = self._left(timeout, start)
            wait, reply = self._known_wait(None)
            if reply is None:
                view = yield from self._running_view()
                if "pace" in view:
                    return (yield from self._keep_slot(left))
                if not view["paused"]:
                    return True
                wait = wire.seconds(view.get("resumes_in_ms"))
                reply = view
            if left <= 0:
                return False
            yield from self._sleep(wait, left, serial, reply)

    def is_paused(self) -> Generator[Request, Any, bool]:
        """Whether the queue may not be read now."""
        view = yield from self._running_view()
        return bool(view["paused"])

    def rate_limit_error(
        self, retry_after: float | None, error_id: str | None, grant: Grant | None = None
    ) -> Generator[Request, Any, Status]:
        """Report that the upstream said "slow down"."""
        _check_duration("retry_after", retry_after)
        _check_error_id(error_id)
        token = _token()
        report_id = error_id or (grant.id if grant else "") or token
        reply = yield from self._report(
            "rate_limit_error",
            token,
            seen=report_id,
            grant=grant,
            error_id=report_id,
            permit_epoch=grant.epoch if grant and not grant.is_local else "",
            retry_after_ms=to_ms(min(retry_after or 0, LONGEST)),
        )
        return wire.status(self.keys.name, reply, self.settings)

    def success(self, grant: Grant | None = None) -> Generator[Request, Any, None]:
        """Report that a job went through."""
        token = _token()
        yield from self._report(
            "success",
            token,
            seen=token,
            grant=grant,
            # A success under a local permit says nothing to the store: it is older than anything.
            permit_epoch=-1 if grant and grant.is_local else grant.epoch if grant else "",
            permit_run=grant.run if grant else "",
        )

    def has_to_be_told(self, grant: Grant | None) -> bool:
        """Count a success; whether the store has to be told of it by `success`."""
        self.meter.done += 1
        if grant is not None and grant.is_paced and not grant.is_probe:
            return False  # its slot was the news
        return self._watch is None or not self._watch.is_quiet()

    def observe(self, response: Any) -> Generator[Request, Any, bool]:
        """Learn from a response's headers; the store is told only of what is scarce."""
        found = allowance(response)
        if found is None or not is_scarce(found):
            return False
        known = self._watch.known() if self._watch else None
        wanted = max(found.remaining, 1.0) / found.resets_in
        if known and (known["paused"] or known.get("pace", math.inf) <= wanted):
            return False
        token = _token()
        reply = yield from self._report(
            "observe",
            token,
            seen=token,
            left=f"{found.remaining:.6g}",
            limit=f"{found.limit or 0:.6g}",
            resets_in_ms=to_ms(found.resets_in),
        )
        return bool(reply.get("changed"))

    def release(self, grant: Grant) -> Generator[Request, Any, None]:
        """Give a permit back without a result. Only a probe holds anything that others want."""
        if grant.is_probe and not grant.is_paced:
            yield from self._report("release", _token(), permit_id=grant.id)

    def last_known(self) -> wire.Reply:
        """What the store last said, with what is left by now of the pause it spoke of."""
        told, heard = self._last_reply, self._last_heard
        if self._watch and self._watch.told_at > heard:
            told, heard = self._watch.last, self._watch.told_at
        told = {**json.loads(self._settings), **told}
        if "resumes_in_ms" not in told:
            return told
        left = told["resumes_in_ms"] - (self._clock() - heard) * 1000
        return told | ({"resumes_in_ms": left} if left > 0 else {"paused": False})

    # -- everybody

    def status(self) -> Generator[Request, Any, Status]:
        """Read the whole state."""
        view = yield from self.view()
        return wire.status(self.keys.name, view, self.settings)

    def probe(self) -> Generator[Request, Any, None]:
        """Write something harmless, to see whether the store takes writes."""
        yield Send(("SET", self.keys.seen("probe"), "1", "PX", 1000))

    def status_of(self, told: wire.Reply) -> Status:
        """A Status from a view."""
        return wire.status(self.keys.name, told, self.settings)

    def view(self, *, may_guess: bool = False) -> Generator[Request, Any, wire.Reply]:
        """Read the whole state as the wire has it."""
        local_args: Mapping[str, str | int] | None = {} if may_guess else None
        reply = yield from self._ask("snapshot", _token(), self._worker, local_args=local_args)
        yield from self._notice_loss(reply)
        return reply

    def events(self, limit: int) -> Generator[Request, Any, list[Transition]]:
        """Read the history, the oldest entry first."""
        if type(limit) is not int or limit < 1:
            raise ConfigurationError([f"limit must be a whole number from 1, not {limit!r}"])
        entries = yield Send(("XREVRANGE", self.keys["events"], "+", "-", "COUNT", limit))
        return wire.events(self.keys.name, entries)

    # -- operators

    def pause(
        self, length: float | None, reason: str, by: str
    ) -> Generator[Request, Any, Status]:
        """Stop the queue, for so many seconds or until it is resumed."""
        _check_duration("seconds", length)
        if length is not None and not 0 < length <= LONGEST_PAUSE:
            allowed = f"above 0 and at most a year ({LONGEST_PAUSE:,} s)"
            raise ConfigurationError([f"seconds must be None, or {allowed}, not {length!r}"])
        return (yield from self._order("pause", by, reason=reason, pause_ms=to_ms(length or 0)))

    def order(self, verb: str, reason: str, by: str) -> Generator[Request, Any, Status]:
        """Resume, reset, disable or enable."""
        return (yield from self._order(verb, by, reason=reason))

    def configure(self, given: Mapping[str, Any], by: str) -> Generator[Request, Any, Status]:
        """Set options for the whole fleet; None takes one back to what the workers declare."""
        current = yield from self.status()
        known = {name: getattr(current, name) for name in ("cooldown", "max_cooldown")}
        chosen = {name: value for name, value in given.items() if value is not None}
        problems = list(option_problems(chosen, known))
        problems += option_problems(dict.fromkeys(set(given) - set(chosen) - _OPTION_NAMES, ""))
        if problems:
            raise ConfigurationError(problems)
        return (yield from self._order("configure", by, changes=wire.changes(given)))

    # -- how

    def _order(self, verb: str, by: str, **args: str | int) -> Generator[Request, Any, Status]:
        token = _token()
        reply = yield from self._ask(verb, token, by or self._worker, token, "", args)
        yield from self._register(reply)
        return wire.status(self.keys.name, reply, self.settings)

    def _report(
        self,
        name: str,
        token: str,
        seen: str = "",
        grant: Grant | None = None,
        **args: str | int,
    ) -> Generator[Request, Any, wire.Reply]:
        """Ask as a worker: the first time, declare the settings."""
        is_first = self._declared_for == "" or self._declared_for != self._incarnation
        declares = self._declaration if is_first else ""
        # The store and the local breaker fence by epochs of their own.
        local = {"permit_epoch": grant.epoch} if grant and "permit_epoch" in args else {}
        reply = yield from self._ask(name, token, self._worker, seen, declares, args, local)
        yield from self._register(reply)
        if "is_local" not in reply and (is_first or not self._declaration):
            self._declared_for = reply["incarnation"]
            if self._watch:
                self._watch.introduce(self._declared_for)
        return reply

    def _register(self, reply: wire.Reply) -> Generator[Request, Any, None]:
        """See to it that the name is on the list, once for each life of the store's state."""
        if reply["incarnation"] == self._incarnation or "is_local" in reply:
            return
        yield from self._notice_loss(reply)
        added = yield Send(("SADD", self.keys.registry, self.keys.name), may_fail=True)
        if added is not None:
            self._incarnation = reply["incarnation"]

    def _notice_loss(self, reply: wire.Reply) -> Generator[Request, Any, None]:
        """Tell, once, that the store has another state than the one this worker knew."""
        known = self._incarnation
        if known and "is_local" not in reply and reply.get("incarnation") != known:
            self._incarnation = ""
            yield Tell((wire.state_lost(self.keys.name, known, reply),))

    def _ask(  # noqa: PLR0917 - one caller for each kind of speaker
        self,
        name: str,
        token: str,
        who: str,
        seen: str = "",
        declares: str = "",
        args: Mapping[str, str | int] = MappingProxyType({}),
        local_args: Mapping[str, str | int] | None = None,
    ) -> Generator[Request, Any, wire.Reply]:
        wanted = script(name)
        given: dict[str, str | int] = {
            "token": token,
            "channel": self._channel,
            "who": who,
            "settings": self._settings,
            "declares": declares,
            **args,
        }
        if set(given) != set(wanted.args):
            message = f"lua/{name}.lua takes {wanted.args}, not {tuple(given)}"
            raise TypeError(message)
        keys = tuple(
            self.keys.seen(seen) if key == "seen" else self.keys[key] for key in wanted.keys
        )
        answer = yield Ask(wanted, keys, tuple(given[arg] for arg in wanted.args), local_args)
        reply = wire.decode(answer)
        if "is_local" not in reply and "version" in reply:
            self._last_reply, self._last_heard = reply, self._clock()
            if reply["state"] == "closed":
                self.meter.mark(self._last_heard)
        if self._watch and "is_local" not in reply and "version" in reply:
            self._watch.learn(reply)
        if "transitions" in reply:
            told = (wire.transition(self.keys.name, step) for step in reply["transitions"])
            is_local = "is_local" in reply
            yield Tell(tuple(replace(step, is_local=is_local) for step in told))
        return reply

    # -- recovering at a pace

    def _ask_for_leave(
        self, permit_id: str, left: float, turn: Turn | None
    ) -> Generator[Request, Any, wire.Reply]:
        """Ask the store; tell it, once for each trip, what this process had delivered."""
        known = self._watch.known() if self._watch else None
        patience = max(0.0, left) if known else min(max(0.0, left), LONGEST_BLIND)
        last = known or self._last_reply
        # A lost state counts its trips from one again.
        asks = (last["incarnation"], last["asks"]) if "asks" in last else self.meter.told_for
        is_news = asks != self.meter.told_for
        reply = yield from self._report(
            "acquire",
            permit_id,
            patience_ms=to_ms(min(patience, LONGEST)),
            in_turn="1" if turn and turn.is_expected else "",
            share=f"{self.meter.per_second():.6g}" if is_news else "",
        )
        if "is_local" not in reply:
            self.meter.told_for = asks
        return reply

    def _reach_slot(self, grant: Grant, wait: float) -> Generator[Request, Any, bool]:
        """Sleep until one's slot; False if a change has called it back by then."""
        end = self._clock() + wait
        while True:
            # Before it is looked: what is told from here on ends the sleep.
            serial = self._watch.serial if self._watch else 0
            if self._is_called_back(grant):
                return False
            if (left := end - self._clock()) <= 0:
                return True
            yield Sleep(left, self._watch, serial)
            is_blind = not (self._watch and self._watch.known())
            if is_blind and not grant.is_local and wait > LONGEST_BLIND:
                return False

    def _is_called_back(self, grant: Grant) -> bool:
        """Whether a slot is void: paused, slowed down, or nobody is paced any more."""
        known = self._watch.known() if self._watch else None
        if not (known and grant.is_paced):
            return False
        return known["paused"] or known["epoch"] != grant.epoch or "pace" not in known

    def _turn(self, reply: wire.Reply) -> Turn | None:
        if "pace" not in reply:
            return None
        if reply["granted"]:  # should the slot be called back, the next one is its due
            return Turn(self._clock(), reply["told"], True, reply)
        wait = reply["wait_ms"] / 1000
        if not reply["in_turn"]:
            wait *= 1 - self._random() / 2
        return Turn(self._clock() + wait, reply["told"], reply["in_turn"], reply)

    def _until(self, turn: Turn) -> float:
        """Seconds until a turn comes, which is sooner if the pace has risen since."""
        now = self._clock()
        known = self._watch.known() if self._watch else None
        told = (known or self._last_reply).get("told", 0.0)
        if told > turn.told > 0:
            turn.at, turn.told = now + (turn.at - now) * turn.told / told, told
        return turn.at - now

    def _look_at_turn(self, place: Place) -> Generator[Request, Any, None]:
        """Drop a turn when nothing is paced any more; without push that has to be asked."""
        if place.turn is None:
            return
        known = self._watch.known() if self._watch else None
        if known is None:
            is_far = place.turn.at > self._clock()
            if not is_far or self._clock() - self._last_heard < POLL:
                return
            known = yield from self.view(may_guess=True)
        if "pace" not in known and not known["paused"]:
            place.turn = None

    def _keep_slot(self, left: float) -> Generator[Request, Any, bool]:
        """Have a slot in hand before a job is taken from the queue, so that none waits for it."""
        if kept := self._kept_slot():
            # Another look at an empty queue does not make it last.
            self._kept_slots.appendleft(kept)
            return True
        try:
            grant = yield from self.acquire(None if left == math.inf else max(0.0, left))
        except BreakerOpen:
            return False
        if grant.is_paced:
            self._kept_slots.append((self._clock() + SLOT_KEPT, grant))
        return True

    def _kept_slot(self) -> tuple[float, Grant] | None:
        while kept := _taken(self._kept_slots):
            until, grant = kept
            if self._clock() < until and not self._is_called_back(grant):
                return kept
        return None

    def after_fork(self) -> None:
        """In a child process: what the parent was given, it was given once."""
        self._left_turns.clear()
        self._kept_slots.clear()
        self.meter.forget()

    # -- waiting

    def _running_view(self) -> Generator[Request, Any, wire.Reply]:
        """What is known; the store is asked if that is nothing, or a pause that may be over."""
        known = self._watch.known() if self._watch else None
        if known and not known["paused"]:
            return known
        return (yield from self.view(may_guess=True))

    def _known_wait(self, turn: Turn | None) -> tuple[float | None, wire.Reply | None]:
        """Seconds to wait for a pause's end (None: no end) or one's turn, and what was told."""
        left = self._watch.paused_left() if self._watch else None
        if self._watch is not None and left is not None:
            return (None if left == math.inf else left), self._watch.last
        if turn and (until := self._until(turn)) > 0:
            return until, turn.reply
        return None, None

    def _left(self, timeout: float | None, start: float) -> float:
        return math.inf if timeout is None else timeout - (self._clock() - start)

    def _sleep(
        self, wait: float | None, left: float, serial: int, told: wire.Reply
    ) -> Generator[Request, Any, None]:
        """Sleep towards the end of a pause, or one's turn. Turns are spread, pauses end for all."""
        if "pace" in told and not told["paused"]:
            yield Sleep(max(0.0, min(wait or 0.0, LOOK, left)), self._watch, serial)
            return
        end = self._clock() + left
        is_watched = self._watch is not None and self._watch.paused_left() is not None
        longest = LOOK if is_watched else POLL
        crowd = told.get("listeners", 0) / MOST_A_SECOND
        if wait is None or wait > longest:
            seconds = longest
        else:
            seconds = wait + max(SPREAD * wait, crowd) * self._random()
        yield Sleep(max(0.0, min(seconds, left)), self._watch, serial)
        if self._watch and self._watch.serial != serial:
            spread = max(WAKE_SPREAD, crowd) * self._random()
            yield Sleep(max(0.0, min(spread, end - self._clock())))


_all: "weakref.WeakSet[Plans]" = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for plans in _all:
        plans.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)

_OPTION_NAMES = frozenset(Settings.__dataclass_fields__)


def is_scarce(found: Allowance) -> bool:
    """Whether so little is left that it is time to slow down."""
    return found.remaining <= (found.limit * SCARCE if found.limit else FEW)


def _taken(line: deque[T]) -> T | None:
    """The first one; other threads may take it at the same moment."""
    try:
        return line.popleft()
    except IndexError:
        return None


def _token() -> str:
    return uuid.uuid4().hex


def _check_duration(what: str, given: object) -> None:
    problems = list(duration_problems(what, given))
    if problems:
        raise ConfigurationError(problems)


def _check_error_id(error_id: object) -> None:
    if error_id is None:
        return
    is_text = isinstance(error_id, str) and 0 < len(error_id) <= ERROR_ID_LENGTH
    if not is_text or any("\ud800" <= char <= "\udfff" for char in str(error_id)):
        allowed = f"text of 1 to {ERROR_ID_LENGTH} characters"
        raise ConfigurationError([f"error_id must be None or {allowed}, not {error_id!r}"])


def registered(prefix_registry: str) -> Generator[Request, Any, list[str]]:
    """The names there are under a prefix, in order."""
    names = yield Send(("SMEMBERS", prefix_registry))
    return sorted(wire.text(name) for name in names)
