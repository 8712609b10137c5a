"""The scripts of `lua/`, one method each, with the same arguments and replies."""

import json
from collections.abc import Mapping
from typing import Any

from breaker.machine.commit import answer, clear_count, commit, remember
from breaker.machine.excess import note_successes, weigh_share
from breaker.machine.headers import adjust_pace, allowed_rates, begin_pace
from breaker.machine.order import lift, order, replaced
from breaker.machine.recovery import (
    SLOT,
    SLOT_KEPT,
    give_back,
    is_slot_of,
    prove_pace,
    take_probe,
    take_slot,
)
from breaker.machine.row import Call, Reply, Row
from breaker.machine.run import add_to_run, is_after_trip, is_current, weigh_success
from breaker.machine.settings import apply_settings, enter
from breaker.machine.settle import settle
from breaker.machine.transition import close, free_lease, set_pause, step
from breaker.machine.trip import asked_ms, cut, extend, trip
from breaker.machine.view import brief, view

SHARED = ("token", "channel", "who", "declares")
# Verbs to which it does not matter which caller asks.
READERS = ("snapshot", "forget")


class Machine(Row):
    """One breaker. Every public method is one script of `lua/`."""

    def answer(self, verb: str, now: int, given: Mapping[str, Any]) -> Reply:
        """Answer a script's call, its arguments by name."""
        own = {name: value for name, value in given.items() if name not in SHARED}
        call = (Call(given["token"], given["who"], given["declares"]),)
        reply: Reply = getattr(self, verb)(now, *(() if verb in READERS else call), **own)
        return reply

    # -- workers

    def acquire(
        self, now: int, call: Call, patience_ms: float, in_turn: float | str, share: float | str
    ) -> Reply:
        """Leave to run one job."""
        if (reply := enter(self, now, call, SLOT + call.token)) is not None:
            return reply
        if share != "" and self.settings["recovery"] == "pace":
            self.pace.learn(float(share), now)
            self.is_dirty = True
        said: Reply = {"granted": True}
        is_slot = self.is_paced
        is_probe = self.state_now == "half-open" and self.settings["recovery"] == "probe"
        if is_slot:
            said = take_slot(self, float(patience_ms), float(in_turn or 0))
        elif is_probe:
            said = take_probe(self)
        elif self.is_paused:
            said = {"granted": False, "wait_ms": self.left}
        is_unproven = is_slot and self.pace.proven == 0
        said["probe"] = said["granted"] and (is_probe or is_unproven)
        commit(self)
        reply = answer(self, brief(self) | said)
        if is_slot or share != "":
            self.seen[SLOT + call.token] = (self.now + SLOT_KEPT, call.token, reply)
        return reply

    def rate_limit_error(  # noqa: PLR0917 - as many as the script has
        self,
        now: int,
        call: Call,
        error_id: str,
        permit_incarnation: str,
        permit_epoch: int | str,
        retry_after_ms: int,
        kind: str,
        successes: int | str = 0,
    ) -> Reply:
        """The upstream said "slow down"."""
        if (reply := enter(self, now, call, error_id)) is not None:
            return reply
        self.put(rate_limit_errors=self.rate_limit_errors + 1)
        trips = self.trips
        if self.state == "open":
            extend(self, permit_incarnation, retry_after_ms)
        elif not self.is_paused and is_current(self, permit_incarnation, permit_epoch):
            if self.state == "half-open" and (permit_epoch != "" or is_after_trip(self)):
                self._slow_down(error_id, permit_epoch, retry_after_ms, kind)
            elif not self.is_ahead(self.shadow_until):
                own_successes = None if permit_epoch == "" else int(successes or 0)
                self._count(error_id, retry_after_ms, kind, own_successes)
        commit(self)
        own = {"counted": self.is_counted, "tripped": self.trips > trips}
        return remember(self, error_id, view(self) | own)

    def _slow_down(
        self, error_id: str, permit_epoch: int | str, retry_after_ms: int, kind: str
    ) -> None:
        is_run = self._is_due(add_to_run(self, error_id, retry_after_ms))
        is_slot = self.is_paced and permit_epoch != ""
        is_long = asked_ms(self) >= self.settings["cooldown_ms"]
        is_trip = is_long or (is_run and not is_after_trip(self))
        if is_slot and kind != "quota" and not is_trip:
            cut(self)
            return
        self.put(reopens=0 if is_slot else self.reopens + 1)
        trip(self, "rate limit error while recovering", kind)

    def _is_due(self, workers: int) -> bool:
        is_many: bool = self.count >= self.settings["threshold"]
        are_enough: bool = workers >= self.settings["min_workers"]
        return is_many and are_enough

    def _count(
        self, error_id: str, retry_after_ms: int, kind: str, successes: int | None
    ) -> None:
        workers = add_to_run(self, error_id, retry_after_ms)
        if self.disabled:
            return
        if kind == "quota":
            trip(self, "the quota is exhausted", kind)
        elif self._is_due(workers):
            trip(self, f"{self.count} rate limit errors in a row", kind)
        elif successes is not None:
            weigh_share(self, successes)

    def success(  # noqa: PLR0917 - as many as the script has
        self,
        now: int,
        call: Call,
        permit_incarnation: str,
        permit_epoch: int | str,
        permit_run: int | str,
        successes: int | str = 1,
    ) -> Reply:
        """A job went through."""
        if (reply := enter(self, now, call, call.token)) is not None:
            return reply
        changed = False
        if not self.is_paused and is_current(self, permit_incarnation, permit_epoch):
            changed = self._went_through(permit_epoch, permit_run)
        is_weighed = self.is_dirty
        if self.state_now == "closed":
            note_successes(self, int(successes or 1))
        commit(self)
        said = brief(self) | {"changed": changed}
        return remember(self, call.token, said) if is_weighed else answer(self, said)

    def _went_through(self, permit_epoch: int | str, permit_run: int | str) -> bool:
        if self.is_paced:
            is_first = prove_pace(self)
            is_counted = permit_epoch == "" and not is_after_trip(self) and self.count > 0
            return weigh_success(self, permit_run) or is_first if is_counted else is_first
        if self.state == "half-open":
            close(self)
            step(self, "closed", "a job went through")
            return True
        return self.count > 0 and weigh_success(self, permit_run)

    def observe(  # noqa: PLR0917 - as many as the script has
        self,
        now: int,
        call: Call,
        left: float,
        limit: float,
        resets_in_ms: int,
        refill: float | str = "",
    ) -> Reply:
        """The upstream's headers say how much is left."""
        if (reply := enter(self, now, call, call.token)) is not None:
            return reply
        low, top = allowed_rates(float(left), float(limit), resets_in_ms, float(refill or 0))
        may_pace = self.settings["recovery"] == "pace" and self.settings["mode"] != "shadow"
        changed = False
        if self.is_paced:
            changed = adjust_pace(self, low, top, resets_in_ms)
        elif may_pace and self.state_now == "closed":
            reason = f"{float(left):.0f} calls left for {resets_in_ms / 1000:.0f} s"
            changed = begin_pace(self, low, top, resets_in_ms, reason)
        commit(self)
        said = brief(self) | {"changed": changed}
        return remember(self, call.token, said) if changed else answer(self, said)

    def release(self, now: int, call: Call, permit_id: str) -> Reply:
        """A permit is given back without a result, or a slot that no job used."""
        if (reply := enter(self, now, call, permit_id)) is not None:
            return reply
        changed = self.lease_id == permit_id
        if changed:
            free_lease(self)
        elif is_slot_of(self, permit_id):
            give_back(self, permit_id)
            changed = True
        commit(self)
        return answer(self, brief(self) | {"changed": changed})

    # -- everybody

    def snapshot(self, now: int) -> Reply:
        """What there is to know."""
        self.begin(now, Call("", ""))
        if self.incarnation:
            settle(self)
            commit(self)
        return answer(self, view(self))

    # -- operators

    def pause(self, now: int, call: Call, reason: str, pause_ms: int) -> Reply:
        """Stop the queue, for a time or until resumed."""

        def act() -> None:
            more = replaced(self) | ({"pause_ms": pause_ms} if pause_ms else {})
            self.put(epoch=self.epoch + 1, order="paused", order_reason=reason)
            self.put(order_by=call.who, order_at=self.now)
            self.put(order_until=self.now + pause_ms if pause_ms else 0)
            set_pause(self)
            step(self, "paused", reason, more)

        return order(self, now, call, act)

    def resume(self, now: int, call: Call, reason: str) -> Reply:
        """End a pause or a recovery."""

        def act() -> None:
            if self.is_paused or self.state == "half-open":
                lift(self)
                step(self, "resumed", reason)

        return order(self, now, call, act)

    def reset(self, now: int, call: Call, reason: str) -> Reply:
        """Start afresh."""

        def act() -> None:
            more = replaced(self)
            self.put(disabled=False, shadow_until=0)
            lift(self)
            step(self, "reset", reason, more)

        return order(self, now, call, act)

    def disable(self, now: int, call: Call, reason: str) -> Reply:
        """Never trip."""

        def act() -> None:
            more = replaced(self)
            self.put(disabled=True, disabled_reason=reason, disabled_by=call.who)
            lift(self)
            step(self, "disabled", reason, more)

        return order(self, now, call, act)

    def enable(self, now: int, call: Call, reason: str) -> Reply:
        """Back on guard."""

        def act() -> None:
            if self.disabled:
                self.put(disabled=False)
                clear_count(self)
                step(self, "enabled", reason)

        return order(self, now, call, act)

    def configure(self, now: int, call: Call, changes: str) -> Reply:
        """Set options over what workers declare."""

        def act() -> None:
            merged = self.overrides | json.loads(changes)
            self.put(overrides={k: v for k, v in merged.items() if v is not None})
            step(self, "settings", "set by an operator", {"settings": changes})
            apply_settings(self, may_end_pause=True)

        return order(self, now, call, act)

    def forget(self, now: int) -> Reply:
        """End this breaker's life."""
        self.begin(now, Call("", ""))
        existed = self.incarnation != "" or self.is_paused
        seen = self.seen
        self.__dict__.update(vars(Machine(now=now, seen=seen)))
        return answer(self, view(self) | {"changed": existed})
