"""The account of a queue's jobs: each is somewhere, and one that is not shows."""

import pytest
from rq import Queue, SimpleWorker

from breaker.demo.jobs import other_work
from breaker.demo.ledger import Ledger, Tally


@pytest.fixture
def queue(connection):
    return Queue("content", connection=connection)


@pytest.fixture
def ledger(connection):
    return Ledger("content", connection)


def add(ledger, count=1):
    for _ in range(count):
        ledger.enqueue(other_work, {})


def test_every_job_is_somewhere(ledger, queue, connection):
    add(ledger, 5)
    done, failed, begun, *_ = queue.jobs
    for job in (done, failed, begun):
        queue.remove(job)
    queue.finished_job_registry.add(done, 100)
    queue.failed_job_registry.add(failed, 100)
    SimpleWorker([queue], connection=connection).prepare_execution(begun)
    assert ledger.tally() == Tally(enqueued=5, done=1, waiting=3, failed=1)
    assert ledger.tally().lost == 0
    assert ledger.glance() == ledger.tally()


def test_a_job_that_is_nowhere_is_lost(ledger, queue):
    add(ledger, 3)
    queue.remove(queue.jobs[1])
    assert ledger.tally().lost == 1


def test_what_is_done_stays_counted_when_rq_forgets_it(ledger, queue):
    add(ledger)
    job = queue.jobs[0]
    queue.remove(job)
    queue.finished_job_registry.add(job, 100)
    ledger.settle()
    job.delete()
    assert ledger.tally() == Tally(enqueued=1, done=1, waiting=0, failed=0)
