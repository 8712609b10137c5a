"""What belongs to one job counts once: attempts, and guards inside of guards."""

import pytest

from breaker import Breaker, RateLimit, State, running
from tests.contract.waiting import eventually


class Limited(Exception):
    status_code = 429


class Busy(Exception):
    status_code = 503


class Broke(Exception):
    status_code = 402


@pytest.fixture(autouse=True)
def _hooked(monkeypatch):
    """As if there were an HTTP hook: only then attempts are looked for."""
    monkeypatch.setattr(running, "HOOKED", {"any"})
    for face in ("sync", "aio"):
        monkeypatch.setattr(f"breaker.{face}.HOOKED", {"any"})


def test_outside_of_a_guard_there_is_no_attempt(make):
    assert make().inner.attempt() is None


def test_each_attempt_of_a_job_counts_and_the_job_itself_adds_nothing(make, face):
    breaker = make(threshold=9)
    breaker.record_rate_limit_error()  # from now on successes are reported

    def job(_permit):
        for _ in range(2):
            yield breaker.inner.attempt().rate_limited(1)
        raise Limited

    with pytest.raises(Limited):
        face.within(breaker.inner.guard(), job)
    assert breaker.status().consecutive_errors == 3


def test_an_attempt_that_went_through_is_the_jobs_success(make, face):
    breaker = make(threshold=9)
    breaker.record_rate_limit_error()

    def job(_permit):
        yield breaker.inner.attempt().success()

    face.within(breaker.inner.guard(), job)
    assert breaker.status().consecutive_errors == 0


def test_what_an_attempt_reported_the_job_does_not_report_again(make, face, monkeypatch):
    breaker = make(threshold=9)
    breaker.record_rate_limit_error()
    plans, sent = breaker.inner._plans, []
    success = plans.success

    def spied(grant):
        sent.append(grant)
        return success(grant)

    monkeypatch.setattr(plans, "success", spied)

    def limited(_permit):
        yield breaker.inner.attempt().rate_limited(1)

    def well(_permit):
        yield breaker.inner.attempt().success()

    face.within(breaker.inner.guard(), limited)
    assert sent == []
    face.within(breaker.inner.guard(), well)
    assert len(sent) == 1


def test_a_job_that_goes_on_after_a_limited_attempt_is_no_success(make, face):
    breaker = make(threshold=9)

    def job(_permit):
        yield breaker.inner.attempt().rate_limited(1)

    face.within(breaker.inner.guard(), job)
    assert breaker.status().consecutive_errors == 1


def test_an_attempt_does_not_give_back_the_jobs_probe(make, face, url):
    breaker = make(recovery="probe", threshold=1, cooldown=0.05, probe_lease=60)
    breaker.record_rate_limit_error()
    breaker.wait(10)

    def release(_permit):
        yield breaker.inner.attempt().release()
        assert Breaker(breaker.name, url=url, push=False).status().probe_until is not None
        yield breaker.inner.attempt().success()

    face.within(breaker.inner.guard(), release)
    eventually(lambda: breaker.status().state is State.CLOSED)


def test_a_permit_that_runs_elsewhere_has_attempts_too(make, face):
    breaker = make(threshold=9)
    permit = breaker.acquire()

    def job():
        with permit.inner.running():
            yield breaker.inner.attempt().rate_limited(1)

    face.steps(job())
    assert permit.rate_limited(1) is None
    assert breaker.status().rate_limit_errors == 1
    assert breaker.inner.attempt() is None


def test_a_guard_inside_of_the_probes_guard_does_not_wait_for_its_lease(make, face):
    breaker = make(recovery="probe", threshold=1, cooldown=0.05, probe_lease=60)
    breaker.record_rate_limit_error()
    breaker.wait(10)
    ran = []
    face.nested(breaker, lambda: ran.append(1), timeout=0)
    assert ran == [1]
    eventually(lambda: breaker.status().state is State.CLOSED)


def test_an_overload_counts_unless_it_is_to_be_ignored(make, face):
    def fail():
        raise Busy

    for policy, counted in (("count", 1), ("ignore", 0)):
        breaker = make(name=f"{make().name}-{policy}", threshold=9, on_overload=policy)
        with pytest.raises(Busy):
            face.guarded(breaker, fail)
        assert breaker.status().rate_limit_errors == counted


def test_a_quota_pauses_at_once_and_for_long(make, face):
    def fail():
        raise Broke

    breaker = make(threshold=9, quota_pause=120)
    with pytest.raises(Broke):
        face.guarded(breaker, fail)
    status = breaker.status()
    assert (status.state, status.kind, status.trips) == (State.OPEN, "quota", 1)
    assert 110 < status.resumes_in <= 120


def test_the_users_own_rules_decide(make, face):
    def rule(error):
        return RateLimit("rate_limit", 5) if isinstance(error, OSError) else NotImplemented

    breaker = make(threshold=9, classify=rule, count=(KeyError,), ignore=(Limited,))
    for error, total in ((OSError(), 1), (KeyError(), 2), (Limited(), 2), (Busy(), 3)):

        def fail(error=error):
            raise error

        with pytest.raises(type(error)):
            face.guarded(breaker, fail)
        assert breaker.status().rate_limit_errors == total


def test_bad_rules_and_bad_options_are_one_error(name):
    with pytest.raises(ValueError, match=r"threshold.*count must be exception classes"):
        Breaker(name, threshold=0, count="TimeoutError")
