"""What adapters of queue frameworks do with permits: carry, check, report and give them back."""

import json

import pytest

from breaker import AsyncBreaker, Breaker, BreakerOpen, ConfigurationError
from tests.contract.pacing import commands
from tests.contract.waiting import eventually


class Limited(Exception):
    status_code = 429


def half_open(breaker):
    """Trip it for a moment, and wait until the pause is over."""
    breaker.record_rate_limit_error(retry_after=0.01)
    eventually(lambda: not breaker.is_paused())


@pytest.fixture
def probing(make):
    breaker = make(threshold=1, recovery="probe", probe_lease=600)
    half_open(breaker)
    return breaker


def test_a_permit_crosses_a_process(probing, make):
    text = probing.acquire(timeout=0).export()
    assert text.isascii()
    assert json.loads(json.dumps({"permit": text}))["permit"] == text
    other = make(threshold=1, recovery="probe")
    permit = other.permit(text)
    assert permit.is_probe
    permit.success()
    assert other.status().state == "closed"


def test_an_error_counts_once_under_a_permit_and_its_copy(make):
    breaker = make(threshold=9)
    permit = breaker.acquire()
    copy = breaker.permit(permit.export())
    permit.rate_limited()
    assert copy.rate_limited().duplicate
    assert breaker.status().consecutive_errors == 1


@pytest.mark.parametrize("text", ["", "1:x", "2:a:1:1:", "1:a:b:1:", "1:a:1:1:z", None, 7])
def test_a_bad_text_is_refused(make, text):
    with pytest.raises(ConfigurationError, match=r"permit\.export"):
        make().permit(text)


def test_a_permit_is_current_until_the_queue_is_paused(make):
    breaker = make(threshold=1)
    permit = breaker.acquire()
    assert permit.is_current()
    breaker.record_rate_limit_error(retry_after=600)
    eventually(breaker.is_paused)
    assert not permit.is_current()
    breaker.resume()
    eventually(lambda: not breaker.is_paused())
    assert not permit.is_current()
    assert breaker.acquire().is_current()


def test_a_permit_is_not_current_when_the_operator_pauses(make):
    breaker = make()
    permit = breaker.acquire()
    breaker.pause()
    eventually(breaker.is_paused)
    assert not permit.is_current()


def test_report_does_what_a_guard_does(make):
    breaker = make(threshold=2)
    assert breaker.acquire().report(ValueError("bad input")) is None
    assert breaker.status().rate_limit_errors == 0
    permit = breaker.acquire()
    assert permit.report(Limited()).kind == "rate_limit"
    assert permit.status.consecutive_errors == 1
    permit = breaker.acquire()
    assert permit.report() is None
    assert permit.status is None
    assert breaker.status().consecutive_errors == 0
    for _ in range(2):
        permit = breaker.acquire()
        permit.report(Limited())
    assert permit.status.is_paused


def test_the_first_report_counts(make):
    breaker = make()
    permit = breaker.acquire()
    permit.report(Limited())
    permit.report(Limited())
    permit.unused()
    assert breaker.status().consecutive_errors == 1


def test_an_unused_probe_is_free_for_others(probing, make):
    permit = probing.acquire(timeout=0)
    with pytest.raises(BreakerOpen):
        probing.acquire(timeout=0)
    permit.unused()
    assert probing.acquire(timeout=0).is_probe


def test_an_unused_slot_is_the_next_jobs(make, client):
    breaker = make(threshold=1)
    half_open(breaker)
    permit = breaker.acquire(timeout=20)
    assert permit.is_paced
    permit.unused()
    client.config_resetstat()
    assert breaker.acquire(timeout=0).id == permit.id
    assert commands(client) == 0


def test_an_unused_plain_permit_asks_nothing(make, client):
    breaker = make()
    breaker.record_success()
    permit = breaker.acquire()
    assert not permit.is_paced
    assert not permit.is_probe
    client.config_resetstat()
    permit.unused()
    assert commands(client) == 0


@pytest.mark.parametrize("kind", [Breaker, AsyncBreaker])
def test_without_push_nothing_is_known(kind, name):
    breaker = kind(name, push=False)
    assert breaker.local_state().state == "unknown"
    with pytest.raises(ConfigurationError, match="push=True"):
        breaker.on_change(lambda: None)


pushed = pytest.mark.parametrize("face", ["sync pushed", "async pushed"], indirect=True)


@pushed
def test_the_local_state_changes_with_the_fleets(make, url, name, client):
    breaker = make(threshold=1)
    breaker.record_success()
    seen = []
    stop = breaker.inner.on_change(lambda: seen.append(breaker.inner.local_state().state))
    with Breaker(name, url=url, push=False, threshold=1) as other:
        other.pause(600)
        eventually(lambda: "paused" in seen)
        state = breaker.inner.local_state()
        assert 590 < state.resumes_in <= 600
        other.pause()
        eventually(lambda: breaker.inner.local_state().resumes_in is None)
        other.resume()
        eventually(lambda: seen[-1] == "closed")
        other.record_rate_limit_error(retry_after=0.01)
        eventually(lambda: breaker.acquire(timeout=20).is_paced)
        state = breaker.inner.local_state()
        assert state.state == "paced"
        assert state.pace > 0
        stop()
        known = len(seen)
        other.pause()
        eventually(lambda: breaker.inner.local_state().state == "paused")
        assert len(seen) == known
    client.config_resetstat()
    for _ in range(100):
        breaker.inner.local_state()
        with pytest.raises(BreakerOpen):
            breaker.acquire(timeout=0)
    assert commands(client) == 0
