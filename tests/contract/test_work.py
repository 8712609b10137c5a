"""The loop for plain queues: it takes jobs only when it may, and loses none."""

from collections import deque

import pytest

from breaker import Breaker
from tests.contract.waiting import eventually


class Limited(Exception):
    status_code = 429
    retry_after = 0.05


class Jobs:
    """A queue in memory, and what was done."""

    def __init__(self, *jobs, errors=()):
        self.waiting = deque(jobs)
        self.errors = deque(errors)
        self.done = []
        self.takes = 0

    def take(self):
        self.takes += 1
        return self.waiting.popleft() if self.waiting else None

    def do(self, job):
        if self.errors and (error := self.errors.popleft()):
            raise error
        self.done.append(job)


def work(face, breaker, jobs, **options):
    """Run the loop of a face over jobs in memory."""
    return face.work(breaker, jobs.take, jobs.do, jobs.waiting.append, **options)


def test_all_jobs_are_done(face, name, url):
    jobs = Jobs(1, 2, 3)
    work(face, face.breaker(name, url=url), jobs)
    assert jobs.done == [1, 2, 3]


def test_no_job_is_lost_to_429s(face, name, url):
    jobs = Jobs(1, 2, 3, errors=[Limited() for _ in range(6)])
    breaker = face.breaker(name, url=url)
    work(face, breaker, jobs)
    assert sorted(jobs.done) == [1, 2, 3]
    status = breaker.status()
    assert status.rate_limit_errors == 6
    assert status.trips == 1


def test_no_job_is_taken_during_a_pause(face, name, url):
    jobs = Jobs(1)
    breaker = face.breaker(name, url=url)
    breaker.pause(0.2)
    work(face, breaker, jobs)
    assert jobs.done == [1]
    assert jobs.takes == 2


def test_a_job_goes_back_if_the_queue_is_paused_while_it_is_taken(face, name, url):
    jobs = Jobs(1)
    breaker = face.breaker(name, url=url)
    takes = jobs.take

    def take():
        job = takes()
        if jobs.takes == 1:
            with Breaker(name, url=url, push=False) as operator:
                operator.pause(0.2)
            # Not closed any more: paused, or unknown where there is no push.
            eventually(lambda: breaker.inner.local_state().state != "closed")
        return job

    jobs.take = take
    work(face, breaker, jobs)
    assert jobs.takes == 3
    assert jobs.done == [1]


def test_another_error_ends_the_loop(face, name, url):
    jobs = Jobs(1, 2, errors=[ZeroDivisionError()])
    with pytest.raises(ZeroDivisionError):
        work(face, face.breaker(name, url=url), jobs)
    assert list(jobs.waiting) == [2]


def test_another_error_is_handed_to_the_callback(face, name, url):
    jobs, handed = Jobs(1, 2, errors=[error := ZeroDivisionError()]), []
    breaker = face.breaker(name, url=url)
    work(face, breaker, jobs, on_error=lambda job, error: handed.append((job, error)))
    assert handed == [(1, error)]
    assert jobs.done == [2]
    assert breaker.status().rate_limit_errors == 0


def test_an_interrupted_job_goes_back(face, name, url):
    jobs = Jobs(1, errors=[KeyboardInterrupt()])
    with pytest.raises(KeyboardInterrupt):
        work(face, face.breaker(name, url=url), jobs)
    assert list(jobs.waiting) == [1]


def test_in_shadow_mode_an_error_is_treated_as_without_a_breaker(face, name, url):
    jobs = Jobs(1, errors=[Limited()])
    breaker = face.breaker(name, url=url, mode="shadow")
    with pytest.raises(Limited):
        work(face, breaker, jobs)
    assert eventually(lambda: breaker.status().rate_limit_errors == 1)
