"""The automaton, and over it the operator's order, the mode and what workers declare."""

import json

import pytest

from breaker import BreakerOpen, ConfigurationError
from breaker.fleet import Fleet
from breaker.protocol.keys import Keys
from tests.contract.waiting import eventually

LONG = 600.0
SHORT = 0.05


def trip(breaker, errors=5, **given):
    for _ in range(errors):
        status = breaker.record_rate_limit_error(**given)
    return status


# -- an order lies over the automaton


def test_a_short_pause_does_not_shorten_a_trip(make):
    breaker = make(cooldown=LONG)
    trip(breaker)
    status = breaker.pause(SHORT, reason="look", by="ops")
    assert (status.state, status.order, status.automaton) == ("forced-open", "paused", "open")
    assert status.resumes_in > LONG - 60
    eventually(lambda: breaker.status().order == "")
    status = breaker.status()
    assert status.state == "open"
    assert status.resumes_in > LONG - 60
    assert "5 rate limit errors in a row" in status.reason
    assert [event.event for event in breaker.events()] == ["tripped", "paused", "open"]


def test_a_long_pause_outlasts_a_trip_and_the_recovery_follows(make):
    breaker = make(cooldown=SHORT)
    trip(breaker)
    assert breaker.pause(LONG).resumes_in > LONG - 60
    assert breaker.status().trip_ends_in is not None
    assert breaker.resume().state == "closed"


def test_a_pause_over_a_paced_recovery_gives_it_back(make):
    breaker = make(cooldown=SHORT)
    trip(breaker)
    assert breaker.wait(timeout=20)
    assert breaker.status().state == "half-open"
    breaker.pause(SHORT)
    eventually(lambda: breaker.status().order == "")
    assert breaker.status().state == "half-open"
    assert breaker.status().pace is not None


def test_a_pause_over_disabled_gives_it_back(make):
    breaker = make()
    breaker.disable(reason="we know", by="ops")
    breaker.pause(SHORT, reason="deploy")
    eventually(lambda: breaker.status().order != "paused")
    status = breaker.status()
    assert (status.state, status.reason, status.by) == ("disabled", "we know", "ops")
    assert not trip(breaker, errors=9).is_paused


def test_a_disabled_breaker_that_is_paused_is_resumed_to_disabled(make):
    breaker = make()
    breaker.disable()
    breaker.pause()
    assert breaker.resume().state == "disabled"


def test_resume_ends_the_pause_and_the_trip_under_it(make):
    breaker = make(cooldown=LONG)
    trip(breaker)
    breaker.pause()
    assert (breaker.resume().state, breaker.is_paused()) == ("closed", False)


def test_a_second_order_says_what_it_replaces(make):
    breaker = make()
    breaker.pause(reason="provider is down", by="alice")
    breaker.pause(60, reason="maintenance", by="bob")
    breaker.disable(by="carol")
    replaces = [event.replaces for event in breaker.events()]
    assert replaces[:2] == ["", "paused until resumed by alice: provider is down"]
    assert replaces[2].endswith("by bob: maintenance")


# -- the mode, and what is declared


def test_enforce_is_not_deaf_after_a_shadow_trip(make):
    shadow = make(mode="shadow", cooldown=LONG)
    trip(shadow)
    shadow.configure({"mode": "enforce"})
    assert trip(shadow).is_paused


def test_a_starting_canary_in_shadow_mode_does_not_end_a_pause(make):
    trip(make(worker="w1", cooldown=LONG))
    canary = make(worker="w2", mode="shadow")
    with pytest.raises(BreakerOpen):
        canary.acquire(timeout=0)
    assert canary.status().is_paused


def test_an_option_taken_out_of_the_code_is_out_of_force(make):
    make(worker="old", mode="shadow", threshold=3, push=False).record_success()
    status = make(worker="new").record_rate_limit_error()
    assert (status.mode, status.threshold) == ("enforce", 5)


def test_releases_side_by_side_are_shown_and_write_no_event_per_start(make):
    for number in range(10):
        make(worker=f"old-{number}", threshold=3, push=False).record_success()
        make(worker=f"new-{number}", threshold=7, push=False).record_success()
    status = make().status()
    assert (status.threshold, status.conflict, status.conflict_by) == (
        7,
        {"threshold": 3},
        "old-9",
    )
    events = [(event.event, event.settings) for event in make().events()]
    assert events == [("settings", {"threshold": 7})]


def test_a_guest_declares_nothing_but_to_a_new_state(make):
    make(worker="w1", threshold=3, push=False).record_success()
    guest = make(worker="guest", threshold=9, declare=False)
    assert guest.record_rate_limit_error().threshold == 3
    guest.acquire(timeout=0).success()
    assert [event.event for event in guest.events()] == []
    guest.forget()
    assert guest.record_rate_limit_error().threshold == 9


def test_a_worker_whose_first_report_is_a_repeat_declares_with_its_next(make):
    make(worker="w1", threshold=3, push=False).record_rate_limit_error(error_id="x")
    second = make(worker="w2", threshold=4, push=False)
    assert second.record_rate_limit_error(error_id="x").duplicate
    assert second.record_rate_limit_error(error_id="y").threshold == 4


def test_a_new_release_is_one_event_and_no_conflict(make):
    make(worker="old", threshold=3, push=False).record_success()
    make(worker="new", threshold=7, push=False).record_success()
    assert make().status().conflict == {}


# -- a Retry-After is a deadline


def test_a_retry_after_ages(make):
    breaker = make(cooldown=LONG)
    breaker.record_rate_limit_error(retry_after=0.2)
    eventually(lambda: breaker.record_rate_limit_error().resumes_in is not None)
    assert breaker.status().resumes_in <= LONG
    # By the fifth error the first one's Retry-After is at most its own length away.
    (event,) = breaker.events()
    assert event.pause <= 0.2 or event.pause == LONG


def test_an_explicit_retry_after_is_not_doubled(make):
    breaker = make(cooldown=SHORT, recovery="probe")
    trip(breaker)
    for _ in range(3):
        assert breaker.wait(timeout=20)
        status = breaker.record_rate_limit_error(retry_after=0.3)
        assert status.tripped
        assert status.resumes_in <= 0.3
        eventually(lambda: not breaker.status().is_paused)


def test_an_exhausted_quota_trips_at_once(face, make):
    breaker = make(cooldown=1.0, quota_pause=LONG)
    inner = breaker.inner
    status = face.finish(inner._run(inner._plans.rate_limit_error(None, None, kind="quota")))
    assert (status.tripped, status.kind) == (True, "quota")
    assert status.resumes_in > LONG - 60
    assert breaker.events()[-1].kind == "quota"


# -- successes of long jobs


def test_threshold_old_successes_since_the_last_error_end_a_run(make):
    breaker = make(threshold=3, cooldown=LONG)
    long_jobs = [breaker.acquire() for _ in range(6)]
    trip(breaker, errors=2)
    long_jobs.pop().success()
    long_jobs.pop().success()
    assert breaker.status().consecutive_errors == 2
    breaker.record_rate_limit_error(error_id="x")
    # The third error tripped: weak evidence does not count across an error.
    assert breaker.is_paused()


def test_weak_evidence_adds_up(make):
    breaker = make(threshold=3, cooldown=LONG)
    long_jobs = [breaker.acquire() for _ in range(3)]
    trip(breaker, errors=2)
    for job in long_jobs:
        job.success()
    assert breaker.status().consecutive_errors == 0


def test_a_success_of_a_job_before_the_run_does_not_end_it_soon_after_another_push(make):
    breaker = make(threshold=5, cooldown=LONG)
    breaker.record_rate_limit_error()
    breaker.record_success()
    started_before = breaker.acquire()
    trip(breaker, errors=2)
    started_before.success()
    assert breaker.status().consecutive_errors == 2


# -- fences of a lost state


@pytest.mark.parametrize("result", ["success", "rate_limited"])
def test_a_permit_of_a_lost_state_neither_closes_nor_trips(make, client, name, result):
    breaker = make(threshold=2, cooldown=LONG, push=False)
    permit = breaker.acquire()
    client.delete(*client.keys(f"breaker:{{{name}}}:*"))
    breaker.record_rate_limit_error()
    getattr(permit, result)()
    assert breaker.status().consecutive_errors == 1


# -- the end of a life


def test_forget_ends_a_life(make, client, name):
    breaker = make(cooldown=LONG)
    trip(breaker)
    assert breaker.forget()
    assert client.keys(f"breaker:{{{name}}}:[^s]*") == []
    assert not client.exists(Keys("breaker", name)["state"])
    assert not client.sismember("breakers", name)
    assert not breaker.forget()
    assert breaker.status().state == "closed"
    assert breaker.record_rate_limit_error().consecutive_errors == 1
    assert client.sismember("breakers", name)


def test_idle_state_goes_by_itself(make, client, name):
    breaker = make(idle_ttl=3600)
    trip(breaker)
    for key in ("state", "events"):
        assert 3600 < client.ttl(Keys("breaker", name)[key]) <= 3600 + 61
    breaker.pause()
    assert client.ttl(Keys("breaker", name)["state"]) > 10**9


def test_to_look_is_not_to_use(make, client, name, url):
    make(idle_ttl=3600).record_success()
    key = Keys("breaker", name)["state"]
    client.expire(key, 100)
    make(declare=False).status()
    fleet = Fleet(url=url)
    assert fleet.status(name).exists
    fleet.close()
    assert client.ttl(key) <= 100
    make(idle_ttl=3600).status()  # a worker's
    assert client.ttl(key) > 100


def test_an_idle_recovery_is_settled_by_a_reader(make, client, name):
    breaker = make(cooldown=SHORT, forget_after=0.2)
    trip(breaker)
    eventually(lambda: breaker.status().state == "closed")
    assert [event.event for event in breaker.events()] == ["tripped", "half-open", "closed"]


# -- foreign data


def test_a_state_of_a_later_schema_is_refused(make, client, name):
    breaker = make(push=False)
    breaker.record_success()
    client.hset(Keys("breaker", name)["state"], "schema", 99)
    with pytest.raises(Exception, match="upgrade fleet-breaker"):
        breaker.status()


def test_foreign_events_are_left_out(make, client, name):
    breaker = make(cooldown=LONG)
    client.xadd(Keys("breaker", name)["events"], {"hello": b"\xff"})
    trip(breaker)
    assert [event.event for event in breaker.events()] == ["tripped"]


def test_options_may_be_text(make):
    assert make().configure({"cooldown": "30"}).cooldown == 30


def test_a_repeat_costs_little(make, client, name):
    breaker = make(threshold=1000)
    trip(breaker, errors=3, error_id=None)
    breaker.record_rate_limit_error(error_id="mine")
    kept = client.get(Keys("breaker", name).seen("mine"))
    assert len(kept) < 60
    with pytest.raises(json.JSONDecodeError):
        json.loads(kept[32:] or "-")


# -- a store that went back in time


def test_an_older_state_of_the_same_life_is_told_once(make, client, name, caplog):
    breaker = make(threshold=3, cooldown=LONG, push=False)
    breaker.record_success()
    state = Keys("breaker", name)["state"]
    snapshot = client.hgetall(state)
    trip(breaker, errors=3)
    client.delete(*(Keys("breaker", name)[key] for key in ("failures", "pause", "state")))
    client.hset(state, mapping=snapshot)
    assert breaker.record_rate_limit_error().epoch == 0
    breaker.status()
    told = [r.getMessage() for r in caplog.records if ": state-lost" in r.getMessage()]
    assert len(told) == 1
    assert "went back from version" in told[0]


@pytest.mark.parametrize("words", ["x" * 5_000_000, 7, "\ud800"])
def test_an_operators_words_are_checked_at_the_door(make, words):
    breaker = make()
    with pytest.raises(ConfigurationError, match="reason must be text of at most 500"):
        breaker.pause(reason=words)
    with pytest.raises(ConfigurationError, match="by must be text"):
        breaker.resume(by=words)
    assert not breaker.status().exists


def test_shadow_under_an_operators_pause_ends_the_trip_in_silence(make):
    breaker = make(cooldown=LONG)
    trip(breaker)
    breaker.pause()
    assert breaker.configure({"mode": "shadow"}).state == "forced-open"
    assert [event.event for event in breaker.events()] == ["tripped", "paused", "settings"]
    assert breaker.resume().state == "closed"


# -- callers without permits follow no pace


def test_errors_without_permits_start_no_pace_and_trip_only_in_a_row(make):
    breaker = make(threshold=5, cooldown=LONG, push=False)
    for _ in range(12):
        for _ in range(3):
            breaker.record_success()
        breaker.record_rate_limit_error()
    status = breaker.status()
    assert (status.state, status.trips) == ("closed", 0)
    assert trip(breaker).trips == 1


def test_an_error_without_a_permit_does_not_trip_a_pace_that_no_trip_began(make):
    breaker = make(threshold=3, cooldown=LONG, push=False)
    breaker.acquire().success()
    scarce = {"RateLimit-Limit": "100", "RateLimit-Remaining": "3", "RateLimit-Reset": "30"}
    assert breaker.observe(scarce)
    for _ in range(4):
        assert not trip(breaker, errors=2).tripped
        breaker.record_success()
    status = breaker.status()
    assert (status.state, status.trips) == ("half-open", 0)
    assert trip(breaker, errors=3).tripped
