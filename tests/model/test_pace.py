"""Random recoveries at a pace, on the Lua and on the readable rules: equal, and what must hold."""

import json
import math
import uuid
from dataclasses import fields

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from breaker.machine import Machine
from breaker.pacing import HORIZON, LONGEST_WAIT, TOLERANCE, Pace
from tests.model.lua_breaker import LuaBreaker
from tests.model.twins import Twins, declaration

START = 1_700_000_000_000
COOLDOWN = 2_000
WORKERS = st.sampled_from(["w1", "w2"])
PATIENCE = st.sampled_from([0, 0, 20, 40, 250, 700, 60_000, 86_400_000])
SHARES = st.sampled_from(["", "", "", "0", "0.02", "0.3", "7.25", "400"])
RETRY_AFTERS = st.sampled_from([0, 0, 0, 1, 700, COOLDOWN - 1, COOLDOWN, 5_000, 40_000])
STEPS = st.sampled_from([*range(1, 51), 250, 1_000, 1_000, 10_000, 60_000])
# Whoever follows the protocol, alone, gets a permit so soon after the pause: a clock that has
# jumped back costs three minutes at most, a slot one, the way to it another.
SOON = 300_000


class PacedHistories(Twins):
    """Half-open most of the time."""

    permits = Bundle("permits")

    @initialize(
        share=SHARES, cooldown=st.sampled_from([COOLDOWN, 90_000]), has_recovered=st.booleans()
    )
    def trip_and_let_the_pause_end(self, share, cooldown, has_recovered):
        self.settings = declaration(
            threshold=1, cooldown=cooldown / 1000, max_cooldown=100.0, probe_lease=3.0
        )
        self.lua = LuaBreaker(self.client, uuid.uuid4().hex)
        self.machine = Machine()
        self.now, self.serial, self.replies = START, 0, []
        self.lengths = (HORIZON, cooldown)
        self.cut_by: set[int] = set()
        self.last: tuple[float, float, bool] | None = None
        self.trip(share)
        if has_recovered:
            self.both("success", "w1", permit_epoch="", permit_run="")

    def trip(self, share):
        token = self.fresh()
        report = {"error_id": token, "permit_epoch": "", "retry_after_ms": 0}
        self.both("rate_limit_error", "w1", token, **report)
        self.now += 100_001
        self.ask("w1", 0, "", share)

    def ask(self, who, patience, in_turn="", share=""):
        """Acquire, and see that the slot is one that may be had."""
        before = Pace(**vars(self.machine.pace))
        reply = self.both("acquire", who, patience_ms=patience, in_turn=in_turn, share=share)
        pace = self.machine.pace
        assert reply["granted"] or reply["wait_ms"] > 0 or reply["state"] == "forced-open"
        if "pace" not in reply:
            return reply
        assert 0 < reply["pace"] <= 1_000_000
        assert reply["told"] > 0
        assert 0 <= reply["wait_ms"] <= LONGEST_WAIT + 1
        if before.proven == 0 and pace.proven > 0:  # no result for long: the pace rises
            self.last = None
            return reply
        is_of_before = pace.began == before.began and "transitions" not in reply
        if reply["granted"]:
            slot = max(before.slot, self.now) if is_of_before else pace.began
            gap = pace.slot - slot
            early = max(TOLERANCE, gap if patience == 0 else 0.0) if in_turn else 0.0
            nearest = max(min(patience, max(HORIZON, gap)), early)
            assert reply["wait_ms"] <= math.ceil(nearest)
            # Never closer than the pace will be by the next slot.
            # (A time of today has a precision of a quarter of a microsecond.)
            assert (gap + 1e-3) * pace._rate_at(slot + gap) >= 1000
            self.note(slot, gap)
        elif is_of_before:
            assert pace.slot == max(before.slot, self.now)
            assert pace.given == before.given
            # A line is for those who come when told to: not for one who comes as the first.
            assert pace.slot > self.now
        return reply

    def note(self, slot, gap):
        """No slot of an epoch comes before the one before it has had its time."""
        pace = self.machine.pace
        if self.last and self.last[0] == pace.began:
            _, due, was_hesitant = self.last
            # What was taken hesitantly does not hold up the others once a job has gone through.
            assert slot >= due - 1e-3 or (was_hesitant and pace.proven > 0)
        self.last = (pace.began, slot + gap, pace.misses > 0)

    # -- what the fleet does

    @rule(
        target=permits,
        who=WORKERS,
        patience=PATIENCE,
        in_turn=st.sampled_from(["", "", "1", "3", "40"]),
        share=SHARES,
        times=st.sampled_from([1, 1, 2, 9]),
    )
    def acquire(self, who, patience, in_turn, share, times):
        got = []
        for _ in range(times):
            reply = self.ask(who, patience, in_turn, share)
            if reply["granted"]:
                got.append({"id": self.fresh(), "epoch": reply["epoch"], "run": reply["run"]})
        return multiple(*got)

    @rule(target=permits, who=WORKERS, seconds=st.integers(1, 12), proves=st.booleans())
    def keep_busy(self, who, seconds, proves):
        """The fleet goes as fast as it may for a while."""
        got = []
        end = self.now + seconds * 1000
        for _ in range(25):
            reply = self.ask(who, 60_000)
            if reply["granted"]:
                got.append({"id": self.fresh(), "epoch": reply["epoch"], "run": reply["run"]})
            if proves and reply.get("probe"):
                given = {"permit_epoch": reply["epoch"], "permit_run": reply["run"]}
                self.both("success", who, **given)
            self.now = min(end, self.now + max(1, reply.get("wait_ms", 0)))
        self.now = end
        return multiple(*got)

    @rule(who=WORKERS, permit=permits, retry_after=RETRY_AFTERS)
    def permit_limited(self, who, permit, retry_after):
        """Also of permits long ago, and of one permit again."""
        self.limited(who, permit, retry_after)

    @rule(
        who=WORKERS,
        rounds=st.lists(
            st.tuples(
                st.booleans(),
                st.integers(1, 12),
                st.sampled_from([0, 0, 3, 300, 2_500]),
                st.sampled_from([0, 0, 0, 700, COOLDOWN]),
            ),
            min_size=3,
            max_size=8,
        ),
    )
    def some_go_through_and_one_does_not(self, who, rounds):
        """What cuts: most permits that lie about are of an epoch that is over."""
        for proves, jobs, ms, retry_after in rounds:
            self.the_pause_ends()
            for _ in range(jobs):
                reply = self.ask(who, 60_000, "1")
                self.now += max(ms, reply.get("wait_ms", 0))
                if proves and reply["probe"]:
                    given = {"permit_epoch": reply["epoch"], "permit_run": reply["run"]}
                    self.both("success", who, **given)
            if reply["granted"]:
                self.limited(who, reply, retry_after)

    def limited(self, who, permit, retry_after):
        view = self.both("snapshot", who)
        token = self.fresh()
        report = {"permit_epoch": permit["epoch"], "retry_after_ms": retry_after}
        pace = self.machine.pace
        before = pace.rate(self.now) if pace.proven > 0 else pace.low
        reply = self.both("rate_limit_error", who, token, error_id=token, **report)
        cuts = [step for step in reply.get("transitions", []) if step["event"] == "cut"]
        if "pace" in view and permit["epoch"] < view["epoch"]:
            assert "transitions" not in reply
        for _ in cuts:
            assert permit["epoch"] not in self.cut_by
            self.cut_by.add(permit["epoch"])
            assert not reply["tripped"]
            assert reply["paused"] == (retry_after > 0)
            assert self.machine.pace.low <= before * (1 + 1e-9) or before < 1 / 60 + 1e-9

    @rule(who=WORKERS, retry_after=RETRY_AFTERS)
    def error(self, who, retry_after):
        token = self.fresh()
        report = {"permit_epoch": "", "retry_after_ms": retry_after}
        self.both("rate_limit_error", who, token, error_id=token, **report)

    @rule(who=WORKERS, permit=permits)
    def permit_success(self, who, permit):
        view = self.both("snapshot", who)
        before = self.machine.pace.proven
        given = {"permit_epoch": permit["epoch"], "permit_run": permit["run"]}
        self.both("success", who, **given)
        if "pace" in view and permit["epoch"] < view["epoch"]:
            assert self.machine.pace.proven == before

    @rule(who=WORKERS)
    def success(self, who):
        self.both("success", who, permit_epoch="", permit_run="")

    @rule(share=SHARES)
    def trips_again(self, share):
        self.both("resume", "ops", reason="")
        self.trip(share)

    @rule(verb=st.sampled_from(["resume", "disable", "pause"]))
    def order(self, verb):
        given = {"pause_ms": 0} if verb == "pause" else {}
        assert "pace" not in self.both(verb, "ops", reason="", **given)
        self.both("enable", "ops", reason="")
        self.trips_again("")

    @rule(recovery=st.sampled_from(["probe", "resume"]), who=WORKERS, has_tried=st.booleans())
    def another_recovery_for_a_while(self, recovery, who, has_tried):
        self.configure(recovery)
        if has_tried:
            self.ask(who, 0)
        self.configure("pace")

    def configure(self, recovery):
        self.both("configure", "ops", changes=json.dumps({"recovery": recovery}))
        self.last = None  # a schedule that is taken up again begins anew

    # -- time

    @rule(ms=STEPS)
    def time_passes(self, ms):
        self.now += ms

    @rule(ms=st.sampled_from([30, 700, 50_000, 170_000, 1_800_000, 90_000_000]))
    def clock_jumps_back(self, ms):
        self.both("snapshot", "w1")
        seen = self.machine.seen
        self.machine.seen = {key: kept for key, kept in seen.items() if kept[0] > self.now}
        self.now -= ms
        self.last = None  # the schedule moves along

    @rule(ms=st.sampled_from([700, 50_000, 3_600_000]))
    def clock_jumps_ahead(self, ms):
        self.now += ms

    @rule()
    def the_pause_ends(self):
        self.now += self.both("snapshot", "w1").get("resumes_in_ms", 0)

    # -- what must come

    def run_again(self):
        """Nothing but the breaker itself holds the fleet back."""
        self.configure("pace")
        self.both("enable", "ops", reason="")
        view = self.both("snapshot", "w1")
        if view["state"] == "forced-open":
            view = self.both("resume", "ops", reason="")
        self.now += view.get("resumes_in_ms", 0)

    @rule(who=WORKERS, patience=PATIENCE)
    def a_permit_comes(self, who, patience):
        self.run_again()
        began, in_turn = self.now, ""
        while not (reply := self.ask(who, patience, in_turn))["granted"]:
            in_turn = reply["in_turn"] or ""
            self.now += reply["wait_ms"]
            assert self.now - began <= SOON

    @rule(who=WORKERS)
    def few_jobs_without_errors_close(self, who):
        """One in 100 s is less than any pace allows; 64 times ten seconds is the longest look."""
        self.run_again()
        for _ in range(3 + (180 + 2 * 640 + 2 * 100) // 100):
            reply = self.ask(who, 60_000)
            if reply["granted"]:
                given = {"permit_epoch": reply["epoch"], "permit_run": reply["run"]}
                self.both("success", who, **given)
            self.now += 100_000
        assert self.both("snapshot", who)["state"] == "closed"
        self.trips_again("")

    @invariant()
    def the_store_keeps_every_digit(self):
        text = self.client.hget(self.lua.keys["state"], "pace")
        if text is not None:
            kept = [float(number) for number in text.split()]
            assert kept == [getattr(self.machine.pace, field.name) for field in fields(Pace)]
            assert all(map(math.isfinite, kept))


PacedHistories.lua = LuaBreaker(None, "none yet")
PacedHistories.machine = Machine()


@pytest.mark.timeout(300)
def test_recoveries_are_equal_and_keep_to_their_pace(client):
    PacedHistories.client = client
    run_state_machine_as_test(
        PacedHistories,
        settings=settings(max_examples=45, stateful_step_count=30, deadline=None),
    )
