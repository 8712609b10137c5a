"""The rules that `lua/` decides by, readable: one breaker in memory, on a clock that is given.

At run time the Lua is the authority. This is its oracle (a property test holds the two equal,
reply for reply). All times are whole milliseconds.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from breaker.pacing import LONGEST_WAIT, Pace, as_text

Reply = dict[str, Any]

SHARED = ("token", "channel", "who", "settings", "declares")
REPLY_KEPT = 60_000
EVIDENCE_KEPT = 10
# 2 to this power is more than any ratio of max_cooldown to cooldown.
MOST_DOUBLINGS = 30
TELL_EVERY = 1000
# What is left of a pause, as PTTL says it.
FOREVER = -1
NOT_PAUSED = -2


@dataclass
class Call:
    """Who asks, with which token, under which settings."""

    token: str
    who: str
    settings: str
    declares: str


@dataclass
class Machine:
    """One breaker. Every public method is one script of `lua/`, with the same reply."""

    incarnation: str = ""
    version: int = 0
    state: str = "closed"
    epoch: int = 0
    run: int = 0
    count: int = 0
    count_until: int = 0
    pause_until: int | None = None
    pause_ms: int = 0
    opened_at: int | None = None
    open_until: int = 0
    reason: str = ""
    by: str = ""
    trip_id: str = ""
    reopens: int = 0
    lease_id: str = ""
    lease_until: int = 0
    shadow_until: int = 0
    told_run: int = 0
    told_until: int = 0
    news: int = 0
    listeners: int = 0
    run_retry_after: int = 0
    run_workers: list[str] = field(default_factory=list)
    run_errors: list[Reply] = field(default_factory=list)
    trips: int = 0
    cuts: int = 0
    rate_limit_errors: int = 0
    paused_total: int = 0
    declared: Reply = field(default_factory=dict)
    overrides: Reply = field(default_factory=dict)
    settings: Reply = field(default_factory=dict)
    pace: Pace = field(default_factory=Pace)
    seen: dict[str, tuple[int, str, Reply]] = field(default_factory=dict)
    history: list[Reply] = field(default_factory=list)
    now: int = 0
    _steps: list[Reply] = field(default_factory=list)
    _is_dirty: bool = False
    _is_counted: bool = False
    _is_news: bool = False
    _is_new: bool = False

    def answer(self, verb: str, now: int, given: Mapping[str, Any]) -> Reply:
        """Answer a script's call, its arguments by name."""
        if verb == "snapshot":
            return self.snapshot(now)
        own = {name: value for name, value in given.items() if name not in SHARED}
        shared = Call(given["token"], given["who"], given["settings"], given["declares"])
        reply: Reply = getattr(self, verb)(now, shared, **own)
        return reply

    # -- workers

    def acquire(
        self, now: int, call: Call, patience_ms: float, in_turn: str, share: float | str
    ) -> Reply:
        """Leave to run one job."""
        self._begin(now, call)
        if share != "" and self.settings["recovery"] == "pace":
            self.pace.learn(float(share), now)
            self._is_dirty = True
        if self._is_paced():
            self._close_if_calm(call)
        said: Reply = {"granted": True}
        is_slot = self._is_paced()
        is_probe = self._state_now() == "half-open" and self.settings["recovery"] == "probe"
        if is_slot:
            said = self._take_slot(float(patience_ms), is_in_turn=in_turn == "1")
        elif is_probe:
            said = self._take_probe(call)
        elif self._is_paused():
            said = {"granted": False, "wait_ms": self._left()}
        is_unproven = is_slot and self.pace.proven == 0
        said["probe"] = said["granted"] and (is_probe or is_unproven)
        return self._end(self._brief, said)

    def _take_probe(self, call: Call) -> Reply:
        lease = self.settings["probe_lease_ms"]
        if self.lease_id == call.token:
            return {"granted": True}
        if self._is_ahead(self.lease_until, lease):
            return {"granted": False, "wait_ms": self.lease_until - self.now}
        self._write(lease_id=call.token, lease_until=self.now + lease)
        return {"granted": True}

    def _take_slot(self, patience: float, *, is_in_turn: bool) -> Reply:
        granted, wait = self.pace.take(self.now, patience, in_turn=is_in_turn)
        self._is_news = self.pace.has_risen(self.now)
        self._is_dirty = True
        in_turn = not granted and wait < LONGEST_WAIT
        return {"granted": granted, "wait_ms": math.ceil(wait), "in_turn": in_turn}

    def _close_if_calm(self, call: Call) -> None:
        self._is_dirty = True
        if self.pace.is_calm(self.now):
            reason = "the pace holds nobody back any more"
            self._end_pause(call, "closed", "closed", reason)

    def rate_limit_error(
        self, now: int, call: Call, error_id: str, permit_epoch: int | str, retry_after_ms: int
    ) -> Reply:
        """The upstream said "slow down"."""
        self.now = now
        if before := self._repeated(call, error_id):
            return before
        self._begin(now, call)
        self._write(rate_limit_errors=self.rate_limit_errors + 1)
        state, trips, counted = self._state_now(), self.trips, False
        is_stale = permit_epoch != "" and int(permit_epoch) < self.epoch
        if state == "open":
            self._extend(retry_after_ms)
        elif state == "half-open" and not is_stale:
            counted = True
            self._add_to_run(call, error_id, retry_after_ms)
            is_slot = self._is_paced() and permit_epoch != ""
            if is_slot and retry_after_ms < self.settings["cooldown_ms"]:
                self._cut(call, retry_after_ms)
            else:
                self._write(reopens=0 if is_slot else self.reopens + 1)
                self._trip(call, "rate limit error while recovering", retry_after_ms)
        elif state in ("closed", "disabled") and not is_stale and not self._is_shadowed():
            counted = True
            self._add_to_run(call, error_id, retry_after_ms)
            if state == "closed" and self._is_due():
                reason = f"{self.count} rate limit errors in a row"
                self._trip(call, reason, self.run_retry_after)
        own = {"counted": counted, "tripped": self.trips > trips}
        return self._remember(call, error_id, self._end(self._view, own))

    def success(
        self, now: int, call: Call, permit_epoch: int | str, permit_run: int | str
    ) -> Reply:
        """A job went through."""
        self.now = now
        if before := self._repeated(call, call.token):
            return before
        self._begin(now, call)
        state = self._state_now()
        is_current = permit_epoch == "" or int(permit_epoch) >= self.epoch
        is_of_run = permit_run == "" or int(permit_run) >= self.told_run
        changed = False
        if self._is_paced() and is_current:
            changed = self.pace.prove(now)
            if changed:
                self._clear_count()
            self._is_dirty = True
            if permit_epoch == "":
                self._close_if_calm(call)
        elif state == "half-open" and is_current:
            self._end_pause(call, "closed", "closed", "a job went through")
            changed = True
        elif state in ("closed", "disabled") and self.count and is_current and is_of_run:
            self._clear_count()
            self._write(run_errors=[])
            changed = True
        reply = self._end(self._brief, {"changed": changed})
        return self._remember(call, call.token, reply) if changed else reply

    def observe(
        self, now: int, call: Call, left: float, limit: float, resets_in_ms: int
    ) -> Reply:
        """The upstream's headers tell how much is left."""
        self.now = now
        if before := self._repeated(call, call.token):
            return before
        self._begin(now, call)
        goes_by_it = self.settings["recovery"] == "pace" and self.settings["mode"] != "shadow"
        changed = False
        if goes_by_it and self._state_now() in ("closed", "half-open"):
            changed = self._slow_down_early(call, float(left), float(limit), resets_in_ms)
        reply = self._end(self._brief, {"changed": changed})
        return self._remember(call, call.token, reply) if changed else reply

    def _slow_down_early(
        self, call: Call, left: float, limit: float, resets_in_ms: int
    ) -> bool:
        low = max(left, 1.0) * 1000.0 / resets_in_ms
        if self._is_paced() and self.pace.rate(self.now) <= 1.1 * low:
            return False
        top = max(low, (limit - left) * 1000.0 / resets_in_ms)
        self.pace.hold(self.now, low, top, resets_in_ms)
        self._write(epoch=self.epoch + 1, opened_at=self.now)
        reason = f"{left:.0f} calls left for {resets_in_ms / 1000:.0f} s"
        self._step(call.who, "paced", "half-open", reason, {})
        self._write(reason=reason, by=call.who)
        self._clear_count()
        return True

    def release(self, now: int, call: Call, permit_id: str) -> Reply:
        """A permit is given back without a result."""
        self._begin(now, call)
        changed = self.lease_id == permit_id
        if changed:
            self._write(lease_id="", lease_until=0)
        return self._end(self._brief, {"changed": changed})

    # -- everybody

    def snapshot(self, now: int) -> Reply:
        """What there is to know."""
        self.now = now
        self._forget_last_call()
        self._settle()
        return self._end(self._view, {})

    # -- operators

    def pause(self, now: int, call: Call, reason: str, pause_ms: int) -> Reply:
        """Stop the queue."""
        return self._order(
            now, call, lambda: self._open(call, "paused", "forced-open", pause_ms, reason)
        )

    def resume(self, now: int, call: Call, reason: str) -> Reply:
        """End a pause or a recovery."""

        def act() -> None:
            if self._is_paused() or self.state == "half-open":
                self._end_pause(call, "resumed", "closed", reason)

        return self._order(now, call, act)

    def reset(self, now: int, call: Call, reason: str) -> Reply:
        """Start afresh."""

        def act() -> None:
            self._end_pause(call, "reset", "closed", reason)
            self._write(shadow_until=0)

        return self._order(now, call, act)

    def disable(self, now: int, call: Call, reason: str) -> Reply:
        """Never trip."""

        def act() -> None:
            self._end_pause(call, "disabled", "disabled", reason)
            self._write(reason=reason, by=call.who)

        return self._order(now, call, act)

    def enable(self, now: int, call: Call, reason: str) -> Reply:
        """Back on guard."""

        def act() -> None:
            if self.state == "disabled":
                self._end_pause(call, "enabled", "closed", reason)

        return self._order(now, call, act)

    def configure(self, now: int, call: Call, changes: str) -> Reply:
        """Set options over what workers declare."""

        def act() -> None:
            merged = self.overrides | json.loads(changes)
            self._write(overrides={k: v for k, v in merged.items() if v is not None})
            more = {"settings": changes}
            self._step(call.who, "settings", self.state, "set by an operator", more)
            self._apply_settings(call)

        return self._order(now, call, act)

    # -- reading

    def _left(self) -> int:
        if self.pause_until is None:
            return NOT_PAUSED
        return FOREVER if self.pause_until == FOREVER else self.pause_until - self.now

    def _is_paused(self) -> bool:
        return self._left() != NOT_PAUSED

    def _state_now(self) -> str:
        if self._left() == FOREVER:
            return "forced-open"
        if self._is_paused() and self.state != "forced-open":
            return "open"
        return self.state

    def _is_paced(self) -> bool:
        recovery: str = self.settings.get("recovery", "")
        return recovery == "pace" and self._state_now() == "half-open"

    def _is_ahead(self, deadline: int, length: int) -> bool:
        return 0 < deadline - self.now <= length

    def _is_shadowed(self) -> bool:
        return self._is_ahead(self.shadow_until, self.pause_ms)

    def _is_due(self) -> bool:
        is_many: bool = self.count >= self.settings["threshold"]
        are_enough: bool = len(self.run_workers) >= self.settings["min_workers"]
        return is_many and are_enough

    def _paused_total(self) -> int:
        if self.state not in ("open", "forced-open"):
            return self.paused_total
        till = min(self.now, self.open_until) if self.open_until else self.now
        return self.paused_total + max(0, till - (self.opened_at or 0))

    def _brief(self) -> Reply:
        told: Reply = {
            "version": self.version,
            "news": self.news,
            "state": self._state_now(),
            "paused": self._is_paused(),
            "epoch": self.epoch,
            "run": self.run,
            "count": self.count,
            "listeners": self.listeners,
        }
        if self._is_paced():
            told["pace"] = _as_rate(self.pace.rate(self.now))
            told["told"] = _as_rate(self.pace.told)
        is_recovering = told["state"] in ("open", "half-open")
        if self.settings.get("recovery") == "pace" and is_recovering and self.pace.is_new:
            told["asks"] = self.trips
        return told | ({"resumes_in_ms": self._left()} if self._left() >= 0 else {})

    def _view(self) -> Reply:
        state = self._state_now()
        seen = self._brief() | {
            "exists": self.incarnation != "",
            "trips": self.trips,
            "cuts": self.cuts,
            "rate_limit_errors": self.rate_limit_errors,
            "paused_ms": self._paused_total(),
            "reason": self.reason,
            "by": self.by,
            "overrides": self.overrides,
            **self.settings,
        }
        if self._is_ahead(self.told_until, TELL_EVERY):
            seen["untold_for_ms"] = self.told_until - self.now
        if state in ("open", "forced-open", "half-open"):
            seen |= {"opened_at": self.opened_at, "trip_id": self.trip_id}
        lease = self.settings.get("probe_lease_ms", 0)
        if state == "half-open" and self._is_ahead(self.lease_until, lease):
            seen["lease_left_ms"] = self.lease_until - self.now
        return seen

    # -- changing

    def _write(self, **values: Any) -> None:
        for name, value in values.items():
            setattr(self, name, value)
        self._is_dirty = True

    def _step(self, by: str, event: str, to: str, reason: str, more: Mapping[str, Any]) -> None:
        made: Reply = {
            "event": event,
            "from": self._state_now(),
            "to": to,
            "reason": reason,
            "by": by,
        }
        made |= {"epoch": self.epoch, "at": self.now, "incarnation": self.incarnation, **more}
        self._steps.append(made)
        self._write(state=to)

    def _clear_count(self) -> None:
        self.count = self.count_until = 0

    def _end_pause(self, call: Call | None, event: str, to: str, reason: str) -> None:
        self._write(paused_total=self._paused_total())
        self._step(call.who if call else "", event, to, reason, {})
        self.pause_until = None
        self._clear_count()
        self._write(reopens=0, lease_id="", lease_until=0)

    def _open(self, call: Call, event: str, to: str, ms: int, reason: str, **more: Any) -> None:
        self._write(paused_total=self._paused_total(), epoch=self.epoch + 1)
        length = {"pause_ms": ms} if ms else {}
        self._step(call.who, event, to, reason, length | more)
        self._write(reason=reason, by=call.who, trip_id=more.get("trip_id", ""))
        self._write(opened_at=self.now, open_until=self.now + ms if ms else 0, pause_ms=ms)
        self._write(lease_id="", lease_until=0)
        self.pause_until = self.now + ms if ms else FOREVER

    def _trip(self, call: Call, reason: str, retry_after: int) -> None:
        base = retry_after or self.settings["cooldown_ms"]
        doubled = base * 2 ** min(MOST_DOUBLINGS, self.reopens)
        ms = min(self.settings["max_cooldown_ms"], doubled)
        more = {
            "trip_id": call.token,
            "errors": self.count,
            "retry_after_ms": retry_after,
            "evidence": list(self.run_errors),
        }
        self._write(trips=self.trips + 1)
        if self.settings["mode"] != "shadow":
            if self.settings["recovery"] == "pace":
                self.pace.trip(self.now, ms)
            self._open(call, "tripped", "open", ms, reason, **more)
            return
        self._write(epoch=self.epoch + 1)
        self._step(call.who, "tripped", "closed", reason, more | {"pause_ms": ms, "shadow": 1})
        self._write(reason=reason, shadow_until=self.now + ms, pause_ms=ms)
        self._clear_count()

    def _cut(self, call: Call, retry_after: int) -> None:
        before = self.pace.rate(self.now)
        self.pace.cut(self.now, retry_after)
        reason = self._cut_reason(before)
        more = {
            "trip_id": self.trip_id,
            "retry_after_ms": retry_after,
            "evidence": list(self.run_errors),
        }
        self._write(cuts=self.cuts + 1)
        if retry_after:
            self._open(call, "cut", "open", retry_after, reason, **more)
        else:
            self._write(epoch=self.epoch + 1)
            self._step(call.who, "cut", "half-open", reason, more)
            self._write(reason=reason, by=call.who)

    def _cut_reason(self, before: float) -> str:
        if self.pace.misses:
            return f"still limited: {self.count} rate limit errors in a row"
        after = self.pace.rate(self.pace.began)
        return f"paced down from {as_text(before)} to {as_text(after)} jobs/s"

    def _extend(self, wanted: int) -> None:
        ms = min(self.settings["max_cooldown_ms"], wanted)
        news = min(1000, self.pause_ms / 10)
        if self.state != "open" or ms < self._left() + news:
            return
        self._write(pause_ms=ms, open_until=self.now + ms)
        self.pause_until = self.now + ms
        by = self._call.who
        self._step(by, "extended", "open", "Retry-After reaches further", {"pause_ms": ms})

    def _add_to_run(self, call: Call, error_id: str, retry_after: int) -> None:
        self.count = self.count + 1
        self.count_until = self.now + self.settings["forget_after_ms"]
        self._is_counted = True
        if self.count == 1:
            self._write(run=self.run + 1, run_retry_after=0, run_workers=[], run_errors=[])
        error = {
            "id": error_id,
            "worker": call.who,
            "at": self.now,
            "retry_after_ms": retry_after,
        }
        self._write(
            run_retry_after=max(self.run_retry_after, retry_after),
            run_errors=[*self.run_errors, error][-EVIDENCE_KEPT:],
        )
        is_room = len(self.run_workers) < self.settings["min_workers"]
        if is_room and call.who not in self.run_workers:
            self._write(run_workers=[*self.run_workers, call.who])

    def _settle(self) -> None:
        self._expire()
        if self.state not in ("open", "forced-open"):
            return
        if self._is_paused():
            if 0 < self.pause_ms < self._left():
                self._write(open_until=self.now + self.pause_ms)
                self.pause_until = self.now + self.pause_ms
        elif self.state == "open" and self.settings["recovery"] != "resume":
            self._write(paused_total=self._paused_total())
            self._step("", "half-open", "half-open", "pause over", {})
            if self.settings["recovery"] == "pace":
                self.pace.begin(self.now)
            else:
                self._clear_count()
        else:
            self._end_pause(None, "closed", "closed", "pause over")

    def _apply_settings(self, call: Call) -> None:
        was_paced = self.settings.get("recovery") == "pace"
        self._write(settings=self.declared | self.overrides)
        if self._is_paced() and not was_paced:
            self.pace.begin(self.now)
        if self.settings["mode"] == "shadow" and self.state in ("open", "half-open"):
            self._end_pause(call, "closed", "closed", "shadow mode never pauses")

    # -- every call

    def _forget_last_call(self) -> None:
        self._steps, self._is_dirty, self._is_counted = [], False, False
        self._is_news = self._is_new = False

    def _begin(self, now: int, call: Call) -> None:
        self.now, self._call = now, call
        self._forget_last_call()
        if self.incarnation == "":
            self._is_new = True
            self._write(incarnation=call.token)
        self._settle()
        self._declare(call)

    def _declare(self, call: Call) -> None:
        before = self.declared
        given = json.loads(call.declares) if call.declares else {}
        declared = (before or json.loads(call.settings)) | given
        if declared == before:
            return
        if before:
            more = {"settings": call.declares}
            self._step(call.who, "settings", self.state, "declared by a worker", more)
        self._write(declared=declared)
        self._apply_settings(call)

    def _order(self, now: int, call: Call, act: Callable[[], None]) -> Reply:
        self.now = now
        if before := self._repeated(call, call.token):
            return before
        self._begin(now, call)
        act()
        return self._remember(
            call, call.token, self._end(self._view, {"changed": bool(self._steps)})
        )

    def _end(self, picture: Callable[[], Reply], said: Reply) -> Reply:
        is_untold = self._is_counted and self.told_run != self.run
        if self._steps or (is_untold and not self._is_ahead(self.told_until, TELL_EVERY)):
            self._write(told_run=self.run, told_until=self.now + TELL_EVERY)
            self._is_news = True
        if self._is_news or self._is_new:
            self._write(news=self.news + 1)
        if self._is_dirty:
            self.version += 1
        for step in self._steps:
            step["version"] = self.version
        self.history += self._steps
        reply = picture() | said
        if self._steps:
            reply["transitions"] = [dict(step) for step in self._steps]
        return reply | ({"incarnation": self.incarnation} if self.incarnation else {})

    def _remember(self, call: Call, report_id: str, reply: Reply) -> Reply:
        self.seen[report_id] = (self.now + REPLY_KEPT, call.token, reply)
        while len(self.seen) > 1 and self.seen[next(iter(self.seen))][0] <= self.now:
            del self.seen[next(iter(self.seen))]
        return reply

    def _repeated(self, call: Call, report_id: str) -> Reply | None:
        until, token, reply = self.seen.get(report_id, (0, "", {}))
        if self.now >= until:
            self.seen.pop(report_id, None)
            return None
        if token == call.token:
            self._expire()
            return reply
        return self.snapshot(self.now) | {"duplicate": True}

    def _expire(self) -> None:
        """Drop what the store's TTLs would have dropped by now."""
        if self.pause_until not in (None, FOREVER) and self._left() <= 0:
            self.pause_until = None
        if self.now >= self.count_until:
            self._clear_count()


def _as_rate(rate: float) -> float:
    return math.floor(min(rate, 1_000_000.0) * 1000 + 0.5) / 1000
