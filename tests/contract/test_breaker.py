"""What both faces promise, on a real store."""

import json
from typing import Any

import pytest

from breaker import BreakerOpen, ConfigurationError
from breaker.model import State
from breaker.protocol.keys import Keys
from tests.contract.waiting import eventually

LONG = 600.0
SHORT = 0.05


class Limited(Exception):
    """What an HTTP client raises for a 429."""

    status_code = 429

    def __init__(self, retry_after=None):
        super().__init__("Too Many Requests")
        self.headers = {} if retry_after is None else {"Retry-After": str(retry_after)}


def trip(breaker, errors=5, **given):
    for _ in range(errors):
        status = breaker.record_rate_limit_error(**given)
    return status


def half_opened(breaker):
    """Trip, and wait for the pause to end by itself."""
    trip(breaker)
    assert breaker.wait(timeout=20)
    return breaker


# -- counting and tripping


def test_the_fifth_error_in_a_row_pauses_the_queue(make):
    breaker = make(cooldown=LONG)
    for count in range(1, 5):
        status = breaker.record_rate_limit_error()
        assert (status.consecutive_errors, status.is_paused, status.tripped) == (
            count,
            False,
            False,
        )
    status = breaker.record_rate_limit_error()
    assert status.tripped
    assert status.is_paused
    assert status.state == "open"
    assert status.trips == 1
    assert status.epoch == 1
    assert LONG - 5 < status.resumes_in <= LONG
    assert status.opened_at is not None
    assert "5 rate limit errors in a row" in status.reason
    assert breaker.is_paused()


def test_the_count_is_the_fleets(make):
    fleet = [make(worker=f"w{number}", cooldown=LONG) for number in range(5)]
    for worker in fleet:
        worker.record_rate_limit_error()
    assert all(worker.is_paused() for worker in fleet)


def test_breakers_do_not_know_each_other(make, name):
    trip(make(cooldown=LONG))
    assert not make(name=f"{name}-other").is_paused()
    assert not make(prefix="another").is_paused()


def test_a_success_ends_the_run(make):
    breaker = make(cooldown=LONG)
    trip(breaker, errors=4)
    breaker.record_success()
    assert breaker.status().consecutive_errors == 0
    assert not trip(breaker, errors=4).is_paused
    assert breaker.record_rate_limit_error().tripped


def test_the_count_is_forgotten_when_nothing_happens_for_long(make):
    breaker = make(forget_after=SHORT)
    trip(breaker, errors=4)
    eventually(lambda: breaker.status().consecutive_errors == 0)
    assert not breaker.record_rate_limit_error().is_paused


def test_errors_must_come_from_min_workers_workers(make):
    poisoned, healthy = (make(worker=who, min_workers=2, cooldown=LONG) for who in ("a", "b"))
    assert not trip(poisoned, errors=20).is_paused
    assert healthy.record_rate_limit_error().tripped


# -- how long


def test_retry_after_is_how_long(make):
    breaker = make(cooldown=LONG)
    assert 0 < trip(breaker, retry_after=20).resumes_in <= 20


def test_retry_after_is_a_floor_over_the_run(make):
    breaker = make(cooldown=1)
    breaker.record_rate_limit_error(retry_after=300)
    status = trip(breaker, errors=4, retry_after=10)
    assert 290 < status.resumes_in <= 300


def test_retry_after_is_clamped(make):
    breaker = make(cooldown=1, max_cooldown=30)
    assert 25 < trip(breaker, retry_after=10**9).resumes_in <= 30


def test_an_error_in_flight_lengthens_only_if_its_retry_after_reaches_further(make):
    breaker = make(cooldown=100)
    trip(breaker)
    assert breaker.record_rate_limit_error().resumes_in <= 100
    assert breaker.record_rate_limit_error(retry_after=50).resumes_in <= 100
    status = breaker.record_rate_limit_error(retry_after=500)
    assert 490 < status.resumes_in <= 500
    assert (status.trips, status.epoch, status.tripped) == (1, 1, False)
    assert [event.event for event in breaker.events()] == ["tripped", "extended"]


# -- it resumes by itself


@pytest.mark.parametrize("recovery", ["pace", "probe", "resume"])
def test_the_pause_ends_with_its_key_and_nobody_alive(make, client, name, recovery):
    trip(make(cooldown=LONG, recovery=recovery, push=False))
    pause = Keys("breaker", name)["pause"]
    assert 0 < client.pttl(pause) <= LONG * 1000
    client.pexpire(pause, 1)
    eventually(lambda: not client.exists(pause))
    assert not make(push=False).is_paused()


def test_resume_lets_all_through_and_counts_from_none(make):
    breaker = half_opened(make(cooldown=SHORT, recovery="resume"))
    assert breaker.status().state == "closed"
    assert not trip(breaker, errors=4).is_paused


# -- half-open


def test_one_probe_at_a_time(make):
    breaker = half_opened(make(cooldown=SHORT, probe_lease=LONG, recovery="probe"))
    probe = breaker.acquire(timeout=0)
    assert probe.is_probe
    assert breaker.status().state == State.HALF_OPEN
    with pytest.raises(BreakerOpen) as refused:
        breaker.acquire(timeout=0)
    assert refused.value.state == "half-open"
    assert 0 < refused.value.retry_after <= LONG


def test_a_probes_success_closes(make):
    breaker = half_opened(make(cooldown=SHORT, recovery="probe"))
    breaker.acquire(timeout=0).success()
    assert breaker.status().state == "closed"
    assert not breaker.acquire(timeout=0).is_probe


def test_a_probes_error_opens_again_for_twice_as_long(make):
    breaker = half_opened(make(cooldown=1, max_cooldown=3, recovery="probe"))
    status = breaker.acquire(timeout=0).rate_limited()
    assert 1 < status.resumes_in <= 2
    assert status.trips == 2
    assert breaker.wait(timeout=20)
    assert 2 < breaker.acquire(timeout=0).rate_limited().resumes_in <= 3


def test_a_probe_given_back_lets_the_next_one_try(make):
    breaker = half_opened(make(cooldown=SHORT, probe_lease=LONG, recovery="probe"))
    breaker.acquire(timeout=0).release()
    assert breaker.acquire(timeout=0).is_probe


def test_a_dead_probe_costs_one_lease_whatever_is_refused(make):
    breaker = half_opened(make(cooldown=SHORT, probe_lease=0.2, recovery="probe"))
    breaker.acquire(timeout=0)

    def try_again():
        try:
            return breaker.acquire(timeout=0)
        except BreakerOpen:
            return None

    assert eventually(try_again).is_probe


def test_without_permits_the_first_error_opens_again_and_a_success_closes(make):
    breaker = half_opened(make(cooldown=SHORT, recovery="probe"))
    assert not breaker.is_paused()
    assert breaker.record_rate_limit_error().tripped
    assert breaker.wait(timeout=20)
    breaker.record_success()
    assert breaker.status().state == "closed"


# -- headers


def test_headers_slow_the_fleet_down_before_it_is_refused(make):
    breaker = make()
    breaker.acquire().success()
    plenty = {"RateLimit-Limit": "100", "RateLimit-Remaining": "50", "RateLimit-Reset": "30"}
    assert not breaker.observe(plenty)
    assert breaker.status().state == "closed"
    assert breaker.observe(plenty | {"RateLimit-Remaining": "3"})
    status = breaker.status()
    assert (status.state, status.pace, status.trips) == ("half-open", 0.1, 0)
    breaker.acquire(timeout=0)
    with pytest.raises(BreakerOpen) as refused:
        breaker.acquire(timeout=0)
    assert 0 < refused.value.retry_after <= 10
    assert not breaker.observe({"RateLimit-Remaining": "4", "RateLimit-Reset": "30"})
    assert [event.event for event in breaker.events()] == ["paced"]


@pytest.mark.parametrize("response", [None, {}, {"RateLimit-Remaining": "soon"}, object()])
def test_headers_that_say_nothing_change_nothing(make, response):
    assert not make().observe(response)


def test_headers_are_not_gone_by_without_pace(make):
    breaker = make(recovery="probe")
    assert not breaker.observe({"RateLimit-Remaining": "0", "RateLimit-Reset": "30"})
    assert breaker.status().state == "closed"


# -- fences


def test_an_error_of_an_older_epoch_does_not_trip_again(make):
    breaker = make(cooldown=SHORT)
    in_flight = [breaker.acquire() for _ in range(6)]
    half_opened(breaker)
    for permit in in_flight:
        assert not permit.rate_limited().tripped
    status = breaker.status()
    assert (status.state, status.trips, status.rate_limit_errors) == ("half-open", 1, 11)


def test_a_success_of_an_older_epoch_does_not_close(make):
    breaker = make(cooldown=SHORT)
    in_flight = breaker.acquire()
    half_opened(breaker)
    in_flight.success()
    assert breaker.status().state == "half-open"


def test_a_success_that_started_before_the_run_does_not_end_it(make):
    breaker = make(cooldown=LONG)
    started_before = breaker.acquire()
    trip(breaker, errors=2)
    started_within = breaker.acquire()
    started_before.success()
    assert breaker.status().consecutive_errors == 2
    started_within.success()
    assert breaker.status().consecutive_errors == 0


def test_a_result_counts_once(make):
    breaker = make()
    permit = breaker.acquire()
    permit.rate_limited()
    assert permit.rate_limited() is None
    permit.success()
    permit.release()
    assert breaker.status().consecutive_errors == 1


# -- every error once


def test_the_same_failure_reported_twice_is_one_error(make):
    here, there = make(worker="catch block"), make(worker="failed event")
    assert not here.record_rate_limit_error(error_id="job-1 try-1").duplicate
    status = there.record_rate_limit_error(error_id="job-1 try-1")
    assert status.duplicate
    assert status.consecutive_errors == 1


def test_a_second_report_of_the_trip_did_not_trip(make):
    breaker = make(threshold=1, cooldown=LONG)
    assert breaker.record_rate_limit_error(error_id="e").tripped
    assert not breaker.record_rate_limit_error(error_id="e").tripped


# -- permits, waiting, guarding


def test_no_permit_while_paused(make):
    breaker = make(cooldown=LONG)
    trip(breaker)
    with pytest.raises(BreakerOpen, match="open for another") as refused:
        breaker.acquire(timeout=0)
    assert LONG - 5 < refused.value.retry_after <= LONG
    assert refused.value.epoch == 1


def test_acquire_waits_for_the_pause_to_end(make):
    breaker = make(cooldown=0.2)
    trip(breaker)
    assert breaker.acquire(timeout=20).is_probe


def test_wait_gives_up_after_its_timeout(make):
    breaker = make(cooldown=LONG)
    trip(breaker)
    assert breaker.wait(timeout=0.01) is False
    breaker.resume()
    assert breaker.wait() is True


def test_the_guard_reports_what_came_of_it(face, make):
    breaker = make(cooldown=LONG)

    def fail(error):
        raise error

    for _ in range(4):
        with pytest.raises(Limited):
            face.guarded(breaker, lambda: fail(Limited()))
    with pytest.raises(KeyError):
        face.guarded(breaker, lambda: fail(KeyError("no rate limit")))
    assert breaker.status().consecutive_errors == 4
    face.guarded(breaker, lambda: None)
    assert breaker.status().consecutive_errors == 0


def test_a_guard_that_is_used_again_is_another_permit(face, make):
    breaker = make(cooldown=LONG)
    guard = breaker.inner.guard()
    ids = []

    def fail(permit):
        ids.append(permit.id)
        raise Limited

    for count in (1, 2, 3):
        with pytest.raises(Limited):
            face.within(guard, fail)
        assert breaker.status().consecutive_errors == count
    assert len({*ids}) == 3
    face.within(guard, lambda permit: ids.append(permit.id))
    assert len({*ids}) == 4
    assert breaker.status().consecutive_errors == 0


def test_a_guard_that_was_left_reports_no_more(face, make):
    breaker = make()
    permits: list[Any] = []
    face.within(breaker.inner.guard(), permits.append)
    assert face.finish(permits[0].rate_limited()) is None
    assert breaker.status().consecutive_errors == 0


def test_the_guard_passes_retry_after_on(face, make):
    breaker = make(threshold=1)
    error = Limited(retry_after=17)

    def fail():
        raise error

    with pytest.raises(Limited) as raised:
        face.guarded(breaker, fail)
    assert raised.value is error
    assert 10 < breaker.status().resumes_in <= 17


def test_the_guard_raises_when_paused_for_longer_than_its_timeout(face, make):
    breaker = make(cooldown=LONG)
    trip(breaker)
    ran = []
    with pytest.raises(BreakerOpen):
        face.guarded(breaker, lambda: ran.append(1), timeout=0)
    assert not ran


def test_a_decorated_function_is_guarded(face, make):
    breaker = make(threshold=1, cooldown=LONG)

    def call(answer):
        if answer == 429:
            raise Limited
        return answer

    decorated = face.decorated(breaker, call)
    assert decorated(200) == 200
    with pytest.raises(Limited):
        decorated(429)
    assert breaker.is_paused()


# -- operators


def test_forced_open_until_resumed(make, client, name):
    breaker = make()
    status = breaker.pause(reason="provider is down", by="ops")
    assert (status.state, status.is_paused, status.resumes_in) == ("forced-open", True, None)
    assert (status.reason, status.by) == ("provider is down", "ops")
    assert client.ttl(Keys("breaker", name)["pause"]) == -1
    with pytest.raises(BreakerOpen, match="until resumed") as refused:
        breaker.acquire(timeout=0)
    assert refused.value.retry_after is None
    assert breaker.resume(by="ops").state == "closed"
    assert [event.event for event in breaker.events()] == ["paused", "resumed"]


def test_forced_open_for_a_time(make):
    breaker = make()
    assert 0 < breaker.pause(SHORT).resumes_in <= SHORT
    assert breaker.wait(timeout=20)
    assert breaker.status().state == "closed"


def test_an_error_does_not_touch_an_operators_pause(make):
    breaker = make()
    breaker.pause(10)
    assert trip(breaker, errors=9, retry_after=1000).resumes_in <= 10


def test_disabled_never_trips_but_counts(make):
    breaker = make()
    breaker.disable()
    status = trip(breaker, errors=9)
    assert (status.state, status.is_paused, status.consecutive_errors) == ("disabled", False, 9)
    assert breaker.enable().consecutive_errors == 0
    assert trip(breaker).tripped


def test_reset_starts_afresh(make):
    breaker = make(cooldown=LONG)
    trip(breaker)
    status = breaker.reset(by="ops")
    assert (status.state, status.consecutive_errors, status.trips) == ("closed", 0, 1)
    breaker.disable()
    assert breaker.reset().state == "closed"


def test_settings_set_by_an_operator_win_until_taken_back(make):
    breaker = make(threshold=5)
    breaker.record_success()
    status = breaker.configure({"threshold": 2, "cooldown": 7.5}, by="ops")
    assert (status.threshold, status.cooldown) == (2, 7.5)
    assert status.overrides == {"threshold": 2, "cooldown": 7.5}
    assert make(threshold=9).record_rate_limit_error().threshold == 2
    assert breaker.configure({"threshold": None}).threshold == 9


def test_settings_of_workers_hold_for_readers(make, name):
    make(threshold=3).record_success()
    assert make().status().threshold == 3
    assert make().pause(by="ops").threshold == 3


# -- shadow


def test_shadow_counts_and_tells_but_never_pauses(make):
    breaker = make(mode="shadow", cooldown=LONG)
    status = trip(breaker)
    assert status.tripped
    assert (status.is_paused, status.state, status.trips) == (False, "closed", 1)
    assert breaker.acquire(timeout=0)
    assert [event.is_shadow for event in breaker.events()] == [True]
    assert trip(breaker).trips == 1


def test_reset_ends_a_shadow_pause_too(make):
    breaker = make(mode="shadow", cooldown=LONG)
    trip(breaker)
    breaker.reset()
    assert trip(breaker).trips == 2


def test_shadow_ends_a_pause(make):
    breaker = make(cooldown=LONG)
    trip(breaker)
    assert not breaker.configure({"mode": "shadow"}).is_paused


def test_an_operator_can_pause_in_shadow(make):
    assert make(mode="shadow").pause().is_paused


# -- transitions and alerts


def test_the_trip_is_in_the_history_with_its_evidence(make):
    breaker = make(cooldown=LONG)
    for number in range(5):
        breaker.record_rate_limit_error(retry_after=number or None, error_id=f"e{number}")
    (event,) = breaker.events()
    assert (event.event, event.before, event.after) == ("tripped", "closed", "open")
    assert (event.errors, event.by, event.epoch) == (5, "w1", 1)
    assert event.pause == pytest.approx(4, abs=0.9)
    assert [error.id for error in event.evidence] == [f"e{number}" for number in range(5)]
    hints = [error.retry_after or 0 for error in event.evidence]
    assert hints == pytest.approx([0, 1, 2, 3, 4], abs=0.9)  # they age on a slow machine
    assert event.trip_id == breaker.status().trip_id


def test_each_transition_is_logged_by_its_caller_alone(make, caplog):
    caplog.set_level("INFO", "breaker")
    breaker = make(cooldown=SHORT, recovery="probe")
    half_opened(breaker)
    breaker.record_success()
    breaker.status()
    records = [record for record in caplog.records if record.name == "breaker"]
    events = [record.breaker["event"] for record in records]
    assert events == ["tripped", "half-open", "closed"]
    record = records[events.index("tripped")]
    assert record.levelname == "WARNING"
    assert record.breaker["epoch"] == 1


def test_each_transition_is_published(make, client, name):
    channel = Keys("breaker", name).channel(client.connection_pool.connection_kwargs["db"])
    with client.pubsub() as listener:
        listener.subscribe(channel)
        listener.get_message(timeout=5)
        trip(make(cooldown=LONG))
        first, tripped = (
            json.loads(eventually(lambda: listener.get_message(timeout=1))["data"])
            for _ in range(2)
        )
    assert (first["state"], first["epoch"], first["count"]) == ("closed", 0, 1)
    assert (tripped["state"], tripped["epoch"], tripped["count"]) == ("open", 1, 5)


def test_a_lost_state_is_told(make, client, name, caplog):
    breaker = make()
    breaker.record_rate_limit_error()
    client.delete(*client.keys(f"breaker:{{{name}}}:*"))
    assert breaker.record_rate_limit_error().consecutive_errors == 1
    # A heartbeat of the subscription may have found it first, and tells it on another thread.
    eventually(lambda: f"{name}: state-lost" in caplog.text)


def test_names_are_listed(make, client, name):
    make().record_success()
    assert client.sismember("breakers", name)


def test_reading_creates_nothing(make, client, name):
    breaker = make()
    assert not breaker.is_paused()
    assert not breaker.status().exists
    assert breaker.events() == []
    assert client.keys(f"*{name}*") == []
    assert not client.sismember("breakers", name)


# -- a pause key set or deleted by hand rules


def test_a_pause_key_set_by_hand_pauses(make, client, name):
    breaker = make(push=False)
    client.set(Keys("breaker", name)["pause"], "by hand", px=600_000)
    assert breaker.is_paused()
    assert breaker.status().state == "open"
    with pytest.raises(BreakerOpen):
        breaker.acquire(timeout=0)
    client.persist(Keys("breaker", name)["pause"])
    assert breaker.status().state == "forced-open"
    client.delete(Keys("breaker", name)["pause"])
    assert breaker.status().state == "closed"


def test_a_pause_key_deleted_by_hand_resumes(make, client, name):
    breaker = make(cooldown=LONG)
    trip(breaker)
    client.delete(Keys("breaker", name)["pause"])
    assert breaker.status().state == "half-open"


def test_a_pause_longer_than_it_was_made_is_cut(make, client, name):
    """As after a store's clock has jumped back an hour."""
    breaker = make(cooldown=60)
    trip(breaker)
    client.pexpire(Keys("breaker", name)["pause"], 3_660_000)
    assert breaker.status().resumes_in <= 60


# -- bad input


@pytest.mark.parametrize("bad", [-1, float("nan"), "soon", True])
def test_bad_durations_are_named(make, bad):
    breaker = make()
    for call in (
        lambda: breaker.acquire(timeout=bad),
        lambda: breaker.wait(timeout=bad),
        lambda: breaker.pause(bad),
    ):
        with pytest.raises(ConfigurationError, match="must be None or seconds from 0"):
            call()
    assert not breaker.status().exists


def test_bad_limits_and_changes_are_named(make):
    breaker = make()
    with pytest.raises(ConfigurationError, match="limit must be"):
        breaker.events(limit=0)
    with pytest.raises(
        ConfigurationError, match="seconds must be None, or above 0 and at most a year"
    ):
        breaker.pause(0)
    with pytest.raises(ConfigurationError) as raised:
        breaker.configure({"threshold": 0, "colour": "red", "nothing": None})
    assert len(raised.value.problems) == 3
