"""Random histories, by several clients, on the Lua and on the readable rules: always the same."""

import json
import uuid
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from breaker.machine import Machine
from tests.model.lua_breaker import LuaBreaker
from tests.model.twins import Twins, declaration

START = 1_700_000_000_000
WORKERS = st.sampled_from(["w1", "w2", "w3"])
OPERATORS = st.sampled_from(["ops", "root"])
RETRY_AFTERS = st.sampled_from([0, 0, 0, 1, 700, 5_000, 40_000])
ERROR_IDS = st.sampled_from([f"e{i}" for i in range(6)])
SUCCESSES = st.sampled_from([0, 0, 3, 19, 60, 200])
OFTEN_FRESH = st.one_of(st.none(), st.none(), st.none(), ERROR_IDS)


class Histories(Twins):
    permits = Bundle("permits")
    reports = Bundle("reports")

    @initialize(
        threshold=st.integers(1, 4),
        recovery=st.sampled_from(["pace", "pace", "probe", "resume"]),
        mode=st.sampled_from(["enforce", "enforce", "shadow"]),
        min_workers=st.integers(1, 2),
        pace_from=st.sampled_from([0, 0.01, 0.1, 1]),
    )
    def start(self, threshold, recovery, mode, min_workers, pace_from):
        self.settings = declaration(
            threshold=threshold,
            recovery=recovery,
            mode=mode,
            min_workers=min_workers,
            pace_from=pace_from,
            cooldown=2.0,
            max_cooldown=10.0,
            forget_after=8.0,
            probe_lease=3.0,
            quota_pause=5.0,
        )
        self.lua = LuaBreaker(self.client, uuid.uuid4().hex)
        self.machine = Machine()
        self.now = START
        self.serial = 0
        self.trip_ids: list[str] = []
        self.latest = (0, 0)
        self.has_jumped = False
        self.replies: list[dict[str, Any]] = []

    def check(self, reply: dict[str, Any]) -> None:
        """What holds whatever the machine says."""
        for step in reply.get("transitions", []):
            if step["event"] == "tripped":
                self.trip_ids.append(step["trip_id"])
        if "version" in reply:
            latest = (reply["version"], reply["epoch"])
            assert latest >= self.latest
            self.latest = latest
            assert reply["paused"] == (reply["state"] in ("open", "forced-open"))

    @rule(
        target=permits,
        who=WORKERS,
        patience=st.sampled_from([0, 40, 500, 60_000]),
        in_turn=st.sampled_from(["", "1"]),
        share=st.sampled_from(["", "", "0", "0.3", "7.25", "400"]),
    )
    def acquire(self, who, patience, in_turn, share):
        token = self.fresh()
        given = {"patience_ms": patience, "in_turn": in_turn, "share": share}
        reply = self.both("acquire", who, token, **given)
        if not reply["granted"]:
            assert reply["wait_ms"] != 0
            return multiple()
        if "pace" not in reply:
            again = self.both("acquire", who, token, **given)
            assert all(again[key] == reply[key] for key in ("granted", "probe", "epoch", "run"))
        return {key: reply[key] for key in ("incarnation", "epoch", "run")} | {"id": token}

    @rule(
        target=reports,
        who=WORKERS,
        retry_after=RETRY_AFTERS,
        error_id=OFTEN_FRESH,
        kind=st.sampled_from(["rate_limit", "rate_limit", "overload", "quota"]),
        successes=SUCCESSES,
    )
    def error(self, who, retry_after, error_id, kind, successes):
        permit = {"epoch": "", "incarnation": ""}
        return self.report_error(who, retry_after, error_id, permit, kind, successes)

    @rule(
        target=reports,
        who=WORKERS,
        retry_after=RETRY_AFTERS,
        error_id=OFTEN_FRESH,
        permit=consumes(permits),
        successes=SUCCESSES,
    )
    def permit_limited(self, who, retry_after, error_id, permit, successes):
        error_id = error_id or permit["id"]
        return self.report_error(who, retry_after, error_id, permit, successes=successes)

    @rule(target=permits, permit=consumes(permits))
    def permit_of_a_lost_state(self, permit):
        return permit | {"incarnation": "lost"}

    @rule(target=permits, permit=consumes(permits))
    def permit_of_a_lost_future(self, permit):
        return permit | {"epoch": permit["epoch"] + 1_000}

    def report_error(self, who, retry_after, error_id, permit, kind="rate_limit", successes=0):
        token = self.fresh()
        report = {
            "error_id": error_id or token,
            "permit_incarnation": permit["incarnation"],
            "permit_epoch": permit["epoch"],
            "retry_after_ms": retry_after,
            "kind": kind,
            "successes": successes,
        }
        reply = self.both("rate_limit_error", who, token, seen=report["error_id"], **report)
        return (who, token, report, reply, self.now)

    @rule(report=reports)
    def error_sent_again(self, report):
        """The reply was lost: the same token gets the same answer, and nothing counts twice."""
        who, token, args, reply, at = report
        if self.now >= at + 60_000 or self.has_jumped:
            return
        again = self.both("rate_limit_error", who, token, seen=args["error_id"], **args)
        if not reply.get("duplicate"):
            # What the repeat itself settles is its own; a stored reply comes back whole.
            told = reply if "transitions" in reply else ("counted", "tripped")
            assert [again.get(key) for key in told] == [reply.get(key) for key in told]

    @rule(report=reports, who=WORKERS)
    def error_reported_twice(self, report, who):
        """Another token, the same failure: it is known."""
        _, _, args, reply, at = report
        again = self.both("rate_limit_error", who, seen=args["error_id"], **args)
        is_remembered = self.now < at + 60_000 and not self.has_jumped
        if is_remembered and not reply.get("duplicate"):
            assert again["duplicate"]

    @rule(who=WORKERS, successes=st.integers(1, 9), rounds=st.integers(1, 12))
    def mild_excess(self, who, successes, rounds):
        """Errors with successes in between."""
        permit = {"epoch": "", "incarnation": ""}
        for _ in range(rounds):
            self.both("success", who, successes=1, permit_epoch="", permit_run="")
            self.report_error(who, 0, None, permit, successes=successes)

    @rule(who=WORKERS, successes=SUCCESSES)
    def success(self, who, successes):
        given = {"permit_epoch": "", "permit_run": ""}
        self.both("success", who, successes=max(1, successes), **given)

    @rule(who=WORKERS, permit=consumes(permits))
    def permit_success(self, who, permit):
        incarnation, epoch, run = permit["incarnation"], permit["epoch"], permit["run"]
        before = self.both("snapshot", who)
        old_successes = self.machine.old_successes + 1
        self.both(
            "success",
            who,
            permit_incarnation=incarnation,
            permit_epoch=epoch,
            permit_run=run,
        )
        is_weak = before["state"] == "closed" and run < before["run"]
        is_too_weak = is_weak and old_successes < before["threshold"]
        if epoch != before["epoch"] or incarnation != before["incarnation"] or is_too_weak:
            assert self.machine.snapshot(self.now)["count"] == before["count"]

    @rule(who=WORKERS, permit=consumes(permits))
    def permit_release(self, who, permit):
        self.both("release", who, seen=permit["id"], permit_id=permit["id"])

    @rule(
        who=WORKERS,
        left=st.sampled_from(["0", "3", "41.5"]),
        limit=st.sampled_from(["0", "60", "100"]),
        resets_in_ms=st.sampled_from([1, 900, 30_000]),
        refill=st.sampled_from(["", "0", "2.5"]),
    )
    def observe(self, who, left, limit, resets_in_ms, refill):
        given = {"left": left, "limit": limit, "resets_in_ms": resets_in_ms}
        self.both("observe", who, refill=refill, **given)

    @rule()
    def snapshot(self):
        self.both("snapshot", "w1")

    @rule(by=OPERATORS, ms=st.sampled_from([0, 1_500, 20_000]))
    def pause(self, by, ms):
        assert self.both("pause", by, reason="work", pause_ms=ms)["paused"]

    @rule(by=OPERATORS, verb=st.sampled_from(["resume", "reset", "disable", "enable"]))
    def order(self, by, verb):
        reply = self.both(verb, by, reason="because")
        assert not reply["paused"] or verb == "enable"
        assert (reply["state"] == "disabled") == reply["disabled"] or verb == "enable"

    @rule(
        by=OPERATORS,
        changes=st.dictionaries(
            st.sampled_from(["threshold", "mode", "recovery"]), st.none(), min_size=1
        )
        | st.fixed_dictionaries({"threshold": st.integers(1, 3)})
        | st.fixed_dictionaries({"mode": st.sampled_from(["enforce", "shadow"])})
        | st.fixed_dictionaries({"recovery": st.sampled_from(["pace", "probe", "resume"])})
        | st.fixed_dictionaries({"cooldown_ms": st.sampled_from([500, 4_000])}),
    )
    def configure(self, by, changes):
        self.both("configure", by, changes=json.dumps(changes, sort_keys=True))

    @rule(
        who=WORKERS,
        threshold=st.integers(1, 4),
        mode=st.sampled_from(["enforce", "enforce", "shadow"]),
    )
    def deploy(self, who, threshold, mode):
        """A worker of a release that declares these settings starts; it never ends a pause."""
        given = json.loads(self.settings)
        given |= {"threshold": threshold, "cooldown_ms": 500 * threshold, "mode": mode}
        declares = json.dumps(given)
        was_paused = self.both("snapshot", who)["paused"]
        reply = self.both(
            "acquire", who, declares=declares, patience_ms=0, in_turn="", share=""
        )
        assert reply["paused"] or not was_paused

    @rule(ms=st.sampled_from([1, 400, 1_999, 2_000, 2_001, 3_000, 8_000, 30_000]))
    def time_passes(self, ms):
        self.now += ms

    @rule(ms=st.sampled_from([500, 3_600_000]))
    def clock_jumps_back(self, ms):
        # What has expired by now is gone for good, on both sides.
        self.both("snapshot", "w1")
        seen = self.machine.seen
        self.machine.seen = {key: kept for key, kept in seen.items() if kept[0] > self.now}
        self.now -= ms
        self.has_jumped = True
        self.both("snapshot", "w1")
        self.latest = (0, 0)

    @rule()
    def resumes_by_itself(self):
        """No script runs for the length of the longest pause: the queue runs again."""
        self.now += 20_001
        view = self.both("snapshot", "w1")
        is_forced = view.get("order") == "paused" and "order_left_ms" not in view
        assert not view["paused"] or is_forced

    @invariant()
    def one_trip_one_id(self):
        assert len(self.trip_ids) == len(set(self.trip_ids)) == self.machine.trips

    @invariant()
    def history_is_whole(self):
        if hasattr(self, "lua"):
            written = [event["event"] for event in self.lua.history()]
            assert written == [step["event"] for step in self.machine.history]


# The invariants run before @initialize too.
Histories.machine = Machine()
Histories.trip_ids = []


@pytest.mark.timeout(300)
def test_lua_and_the_readable_rules_are_equal(client):
    Histories.client = client
    run_state_machine_as_test(
        Histories, settings=settings(max_examples=60, stateful_step_count=40, deadline=None)
    )
