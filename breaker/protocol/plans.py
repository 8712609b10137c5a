"""Each conversation with the store, once, for the sync and the async face.

A plan is a generator: it yields what to do (ask a script, send a command, sleep, tell about
transitions), is sent the answer, and returns the result. `breaker.store` has the two drivers.
"""

import contextlib
import math
from collections import deque
from collections.abc import Callable, Generator, Mapping
from typing import Any

from breaker import forking
from breaker.classify import Allowance, allowance, rate_limit
from breaker.errors import BreakerOpen, ConfigurationError, StoreUnavailable
from breaker.model import Grant, Status, Transition
from breaker.protocol import hints, wire
from breaker.protocol.asking import Asker, new_token
from breaker.protocol.line import LONGEST_BLIND, POLL, Line, Place, Turn
from breaker.protocol.meter import Meter
from breaker.protocol.replies import Changed, Leave, Reply, Snapshot
from breaker.protocol.requests import Request, Send, Watching
from breaker.protocol.unsent import MOST, Fence, Unsent
from breaker.settings import (
    LONGEST,
    LONGEST_PAUSE,
    Settings,
    duration_problems,
    option_problems,
    to_ms,
)

# observe() slows the fleet down when at most this share of the limit is left ...
SCARCE = 0.1
# ... or this many calls, if the limit is unknown.
FEW = 10
# Characters of an operator's reason or name.
WORDS_LENGTH = 500
# Seconds that handing in may take at a time, so that no caller waits for it for long.
HAND_IN = 0.1
_OPTION_NAMES = frozenset(Settings.__dataclass_fields__)


class Plans:
    """The conversations about one breaker.

    Args:
        asker: the worker that asks.
        watch: the local picture, if there is push.
        random: a number from 0 to 1, for the spread of waits.
        who: names the calling thread or task.

    Attributes:
        meter: how many jobs per second this process delivers.
    """

    def __init__(
        self,
        asker: Asker,
        watch: Watching | None = None,
        *,
        random: Callable[[], float],
        who: Callable[[], int] = lambda: 0,
    ) -> None:
        self.asker = asker
        self.line = Line(asker, watch, random, who)
        self._name = asker.keys.name
        self._watch = watch
        self.meter = watch.meter if watch else Meter()
        # The rate limit errors in a row that an outage kept from the store.
        self._unsent: deque[Unsent] = deque(maxlen=MOST)
        forking.renewed(self)

    def after_fork(self) -> None:
        """In a forked child: what the parent was given and has delivered is not the child's."""
        self.line.after_fork()
        self.meter.forget()
        self._unsent.clear()

    # -- workers

    def acquire(self, timeout: float | None) -> Generator[Request, Any, Grant]:
        """Wait for leave to run one job."""
        _check_duration("timeout", timeout)
        if kept := self.line.take_slot():
            return kept
        yield from self._give_unused_back()
        place = self.line.place()
        try:
            grant = yield from self._wait_for_leave(timeout, place)
            place.turn = None
        finally:
            # A caller that times out or is cancelled hands its turn to the next caller.
            self.line.leave(place)
        return grant

    def _wait_for_leave(
        self, timeout: float | None, place: Place
    ) -> Generator[Request, Any, Grant]:
        start = self.asker.clock()
        while True:
            serial = self.line.serial()
            if self._watch and (grant := self._watch.grant()):
                return grant
            left = self._left(timeout, start)
            yield from self._look_at_turn(place)
            wait, reply = self.line.known_wait(place.turn)
            if reply is None:
                permit_id = new_token()
                leave = yield from self._ask_for_leave(permit_id, left, place.turn)
                place.turn = self.line.turn(leave)
                if leave["granted"]:
                    grant = wire.grant(permit_id, leave)
                    # A caller in line whose timeout is shorter may start slightly early.
                    wait = min(leave.get("wait_ms", 0) / 1000, self._left(timeout, start))
                    if (yield from self.line.reach_slot(grant, wait)):
                        return grant
                    continue
                wait, reply = wire.wait(leave), leave
            if left <= 0:
                raise BreakerOpen(
                    self._name,
                    retry_after=wait,
                    epoch=int(reply["epoch"]),
                    state=reply["state"],
                )
            yield from self.line.sleep(wait, left, serial, reply)

    def _ask_for_leave(
        self, permit_id: str, left: float, turn: Turn | None
    ) -> Generator[Request, Any, Leave]:
        """Ask the store; report to it, once for each recovery, what this process had delivered."""
        known = self.line.known()
        patience = max(0.0, left) if known else min(max(0.0, left), LONGEST_BLIND)
        last = known or self.asker.last_reply
        # If the store lost its state, its numbers restart at 1: compare the incarnation too.
        asks = (last["incarnation"], last["asks"]) if "asks" in last else None
        # Claimed before the command is sent: the other tasks of this process ask meanwhile.
        is_mine = asks is not None and self.meter.claim(asks)
        reply: Leave = {"is_local": True, "may_have_run": True}
        try:
            reply = yield from self._report(
                "acquire",
                permit_id,
                seen=permit_id,
                patience_ms=to_ms(min(patience, LONGEST)),
                in_turn=turn.number if turn and turn.number else "",
                share=f"{self.meter.per_second():.6g}" if is_mine else "",
            )
        except GeneratorExit:
            reply = {"may_have_run": True}  # cancelled, while the command was on its way
            raise
        finally:
            if asks is not None and is_mine and "is_local" in reply:
                self.meter.unclaim(asks)
            # Cancelled, or answered by the local breaker: the store may have given a lease.
            if reply.get("may_have_run"):
                self.line.lost.append(permit_id)
        return reply

    def _look_at_turn(self, place: Place) -> Generator[Request, Any, None]:
        """Drop a turn when nothing is paced any more; without push the store must be asked."""
        if place.turn is None:
            return
        known = self.line.known()
        if known is None:
            now = self.asker.clock()
            if place.turn.at <= now or now - self.asker.replied_at < POLL:
                return
            known = yield from self.view(may_guess=True)
        if "pace" not in known and not known["paused"]:
            place.turn = None

    def wait(self, timeout: float | None) -> Generator[Request, Any, bool]:
        """Wait until the queue may be read."""
        _check_duration("timeout", timeout)
        start = self.asker.clock()
        while True:
            serial = self.line.serial()
            if self._watch and self._watch.runs():
                return True
            left = self._left(timeout, start)
            wait, reply = self.line.known_wait(None)
            if reply is None:
                reply = yield from self._running_view()
                if "pace" in reply:
                    return (yield from self._keep_slot(left))
                if not reply["paused"]:
                    return True
                wait = wire.resumes_in(reply)
            if left <= 0:
                return False
            yield from self.line.sleep(wait, left, serial, reply)

    def _keep_slot(self, left: float) -> Generator[Request, Any, bool]:
        """Reserve a slot before a job is taken from the queue, so that no job waits for one."""
        if self.line.has_slot():
            return True
        try:
            grant = yield from self.acquire(None if left == math.inf else max(0.0, left))
        except BreakerOpen:
            return False
        if grant.is_paced:
            self.line.keep_slot(grant)
        return True

    def nested(self, outer: Grant, timeout: float | None) -> Generator[Request, Any, Grant]:
        """Leave for a job inside of another one, which has leave: that one's, unless paused."""
        view = yield from self._running_view()
        return (yield from self.acquire(timeout)) if view["paused"] else outer

    def is_paused(self) -> Generator[Request, Any, bool]:
        """Whether the queue may not be read now."""
        view = yield from self._running_view()
        return view["paused"]

    def _running_view(self) -> Generator[Request, Any, Reply]:
        """What is known; the store is asked if that is nothing, or a pause that may be over."""
        known = self.line.known()
        if known and not known["paused"]:
            return known
        return (yield from self.view(may_guess=True))

    def rate_limit_error(
        self,
        retry_after: float | None,
        error_id: str | None,
        grant: Grant | None = None,
        kind: str = "rate_limit",
    ) -> Generator[Request, Any, Status]:
        """Report that the upstream said "slow down"."""
        error = Unsent(
            self.asker.clock(),
            hints.wait_of(self._name, retry_after),
            hints.id_of(self._name, error_id) or (grant.id if grant else "") or new_token(),
            kind,
            grant,
            self._known_fence(),
        )
        reply = yield from self._rate_limit_error(error, error.fence)
        if "is_local" in reply:
            self._unsent.append(error)
        return self.asker.status_of(reply)

    def _known_fence(self) -> Fence:
        """What a result that begins now carries, as far as the store's state is known."""
        last = self.asker.last_reply
        return last.get("incarnation", ""), last.get("epoch", "")

    def _rate_limit_error(
        self, error: Unsent, fence: Fence, *, may_guess: bool = True
    ) -> Generator[Request, Any, Snapshot]:
        incarnation, epoch = fence
        reply: Snapshot = yield from self._report(
            "rate_limit_error",
            new_token(),
            seen=error.error_id,
            grant=error.grant,
            may_guess=may_guess,
            error_id=error.error_id,
            permit_incarnation=incarnation,
            permit_epoch=epoch,
            kind=error.kind,
            successes=self.meter.unreported(self.asker.clock()),
            retry_after_ms=to_ms(min(error.hint(self.asker.clock()), LONGEST)),
        )
        return reply

    def hand_in(self) -> Generator[Request, Any, bool]:
        """Hand in what an outage kept from the store; whether there is more to come back for."""
        end = self.asker.clock() + HAND_IN
        while (now := self.asker.clock()) < end:
            if self.line.lost:
                yield from self._give_back(self.line.lost.popleft())
            elif self._unsent:
                yield from self._send(self._unsent.popleft(), now)
            else:
                return False
        return True

    def _give_unused_back(self) -> Generator[Request, Any, None]:
        """Give slots back that no job used: the fleet has less work than it seemed to have."""
        while permit_id := self.line.unused_slot():
            with contextlib.suppress(StoreUnavailable):
                yield from self._give_back(permit_id)

    def _give_back(self, permit_id: str) -> Generator[Request, Any, None]:
        try:
            yield from self._report(
                "release", new_token(), seen=permit_id, may_guess=False, permit_id=permit_id
            )
        except StoreUnavailable:
            self.line.lost.appendleft(permit_id)
            raise

    def _send(self, unsent: Unsent, now: float) -> Generator[Request, Any, None]:
        if not unsent.is_worth_it(now):
            return
        try:
            yield from self._rate_limit_error(unsent, unsent.late_fence, may_guess=False)
        except StoreUnavailable:
            self._unsent.appendleft(unsent)
            raise

    def success(self, grant: Grant | None = None) -> Generator[Request, Any, None]:
        """Report that a job went through."""
        token = new_token()
        reply: Reply = yield from self._report(
            "success",
            token,
            seen=token,
            grant=grant,
            permit_incarnation=grant.incarnation if grant and not grant.is_local else "",
            # A permit from the local breaker has no epoch of the store: with -1 its success
            # counts as outdated there.
            permit_epoch=-1 if grant and grant.is_local else grant.epoch if grant else "",
            permit_run=grant.run if grant else "",
            successes=max(1, self.meter.unreported(self.asker.clock())),
        )
        if "is_local" in reply:
            self._unsent.clear()  # the run of errors is over

    def has_to_be_told(self, grant: Grant | None, *, is_job: bool = True) -> bool:
        """Count a job's success; whether it must be reported to the store by `success`."""
        self.meter.done += is_job
        if grant is not None and grant.is_paced and not grant.is_probe:
            return False  # the store already counted this job when it gave the slot
        return self._watch is None or not self._watch.is_quiet()

    def observe(self, response: Any) -> Generator[Request, Any, bool]:
        """Read a response's rate limit headers; a command is sent only if little is left."""
        found = allowance(response)
        if found is None or not is_scarce(found) or rate_limit(response) is not None:
            return False  # what a rate limit error says, its report says better
        known = self.line.known()
        if known and (known["paused"] or _is_kept_to(found, known)):
            return False
        token = new_token()
        reply: Changed = yield from self._report(
            "observe",
            token,
            seen=token,
            left=f"{found.remaining:.6g}",
            limit=f"{found.limit or 0:.6g}",
            resets_in_ms=to_ms(found.resets_in),
            refill=f"{found.refill or 0:.6g}",
        )
        return bool(reply.get("changed"))

    def release(self, grant: Grant) -> Generator[Request, Any, None]:
        """Give a permit back without a result. Only a probe holds anything that others want."""
        if grant.is_probe and not grant.is_paced:
            yield from self._report("release", new_token(), seen=grant.id, permit_id=grant.id)

    def is_current(self, grant: Grant) -> Generator[Request, Any, bool]:
        """Whether a permit still holds: not paused since, no newer epoch, its slot not revoked."""
        view = self.line.known()
        if view is None:
            view = yield from self.view(may_guess=True)
        is_other = view["epoch"] != grant.epoch and not grant.is_local
        return not (view["paused"] or is_other or self.line.is_revoked(grant))

    def unused(self, grant: Grant) -> Generator[Request, Any, None]:
        """Give a permit back that no job used: a probe to the fleet, a slot to the next job here."""
        if grant.is_paced and not self.line.is_revoked(grant):
            self.line.keep_slot(grant)
        else:
            yield from self.release(grant)

    def last_known(self) -> Reply:
        """The store's last reply, with what is left by now of the pause that it tells of."""
        reply, replied_at = self.asker.last_reply, self.asker.replied_at
        if self._watch and self._watch.told_at > replied_at:
            reply, replied_at = self._watch.last, self._watch.told_at
        known: Reply = self.asker.assumed() | reply
        if "resumes_in_ms" in known:
            known["resumes_in_ms"] -= (self.asker.clock() - replied_at) * 1000
            if known["resumes_in_ms"] <= 0:
                known["paused"] = False
        return known

    # -- everybody

    def status(self) -> Generator[Request, Any, Status]:
        """Read the whole state."""
        return self.asker.status_of((yield from self.view()))

    def view(self, *, may_guess: bool = False) -> Generator[Request, Any, Snapshot]:
        """Read the whole state as the wire has it."""
        reply = yield from self.asker.snapshot(may_guess=may_guess)
        self._learn(reply)
        yield from self.asker.tell(reply)
        return reply

    def events(self, limit: int) -> Generator[Request, Any, list[Transition]]:
        """Read the history, the oldest entry first."""
        if type(limit) is not int or limit < 1:
            raise ConfigurationError([f"limit must be a whole number from 1, not {limit!r}"])
        entries = yield Send(("XREVRANGE", self.asker.keys["events"], "+", "-", "COUNT", limit))
        return wire.events(self._name, entries)

    # -- operators

    def pause(
        self, length: float | None, reason: str, by: str
    ) -> Generator[Request, Any, Status]:
        """Stop the queue, for a number of seconds or until it is resumed."""
        _check_duration("seconds", length)
        if length is not None and not 0 < length <= LONGEST_PAUSE:
            allowed = f"above 0 and at most a year ({LONGEST_PAUSE:,.0f} s)"
            raise ConfigurationError([f"seconds must be None, or {allowed}, not {length!r}"])
        return (yield from self._order("pause", by, reason=reason, pause_ms=to_ms(length or 0)))

    def order(self, verb: str, reason: str, by: str) -> Generator[Request, Any, Status]:
        """Resume, reset, disable or enable."""
        return (yield from self._order(verb, by, reason=reason))

    def configure(self, given: Mapping[str, Any], by: str) -> Generator[Request, Any, Status]:
        """Override options for the whole fleet; None removes an override."""
        current = yield from self.status()
        known = {name: getattr(current, name) for name in ("cooldown", "max_cooldown")}
        chosen = {name: value for name, value in given.items() if value is not None}
        problems = list(option_problems(chosen, known))
        problems += option_problems(dict.fromkeys(set(given) - set(chosen) - _OPTION_NAMES, ""))
        if problems:
            raise ConfigurationError(problems)
        return (yield from self._order("configure", by, changes=wire.changes(given)))

    # -- how

    def _report(self, name: str, token: str, **args: Any) -> Generator[Request, Any, Any]:
        reply = yield from self.asker.report(name, token, **args)
        self._learn(reply)  # before the alerts, which may take a while
        yield from self.asker.tell(reply)
        yield from self.asker.register(reply)
        if self._watch and reply.get("incarnation") == self.asker.declared_for:
            self._watch.introduce(self.asker.declared_for)
        return reply

    def _order(self, verb: str, by: str, **args: str | int) -> Generator[Request, Any, Status]:
        _check_words("by", by)
        _check_words("reason", args.get("reason", ""))
        reply = yield from self.asker.order(verb, by, **args)
        self._learn(reply)
        yield from self.asker.tell(reply)
        yield from self.asker.register(reply)
        return self.asker.status_of(reply)

    def _learn(self, reply: Reply) -> None:
        """Take an own reply into the local picture, which it is ahead of."""
        if "is_local" in reply or "version" not in reply:
            return
        if reply["state"] == "closed":
            self.meter.mark(self.asker.replied_at)
        if self._watch:
            self._watch.learn(reply)

    def _left(self, timeout: float | None, start: float) -> float:
        return math.inf if timeout is None else timeout - (self.asker.clock() - start)


def _check_words(what: str, given: object) -> None:
    """An operator's words are shown in one line, and kept in every event."""
    is_text = isinstance(given, str) and len(given) <= WORDS_LENGTH
    if not is_text or any("\ud800" <= char <= "\udfff" for char in str(given)):
        shown = repr(given)[:60]
        raise ConfigurationError(
            [f"{what} must be text of at most {WORDS_LENGTH} characters, not {shown}"]
        )


def is_scarce(found: Allowance) -> bool:
    """Whether so little is left that it is time to slow down."""
    return found.remaining <= (found.limit * SCARCE if found.limit else FEW)


def _is_kept_to(found: Allowance, known: Reply) -> bool:
    """Whether the fleet goes as fast as it may already, so that the store need not be told."""
    return known.get("pace", math.inf) <= found.rate <= known.get("held", math.inf)


def _check_duration(what: str, given: object) -> None:
    problems = list(duration_problems(what, given))
    if problems:
        raise ConfigurationError(problems)
