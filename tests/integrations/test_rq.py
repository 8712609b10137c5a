"""The reader of the RQ worker: what it pops, gives back, reports, and that it loses nothing."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest
import redis
from rq import Queue, Retry, SimpleWorker
from rq.exceptions import DequeueTimeout
from rq.job import JobStatus

from breaker import Breaker, BreakerOpen, ConfigurationError, StoreUnavailable, rate_limit
from breaker.demo.children import Child, stop_all
from breaker.demo.jobs import other_work
from breaker.integrations.gate import Gate
from breaker.integrations.rq import Reader, dequeue, gated, install, perform_guarded
from tests.contract.waiting import eventually
from tests.integrations import rq_jobs

pytestmark = pytest.mark.integration

LONG = 600.0
NAMES = ("other", "content")
GATE = Gate(["content"], line="{}")


@pytest.fixture
def breaker(store):
    with Breaker("content", url=store.url, push=False, cooldown=LONG) as breaker:
        yield breaker


def reading(breaker):
    """A reader whose `content` this breaker guards."""
    return Reader(SimpleNamespace(breaker={"content": breaker}.get))


@pytest.fixture
def reader(breaker):
    return reading(breaker)


@pytest.fixture
def queues(connection):
    return [Queue(name, connection=connection) for name in NAMES]


def add(connection, name="content", function=other_work, **options):
    return Queue(name, connection=connection).enqueue(function, **options)


def pop(reader, queues, timeout=None):
    return gated(Queue, reader).dequeue_any(queues, timeout, connection=queues[0].connection)


# -- the pop


def test_a_closed_queue_is_read(reader, queues, connection):
    job = add(connection)
    assert pop(reader, queues)[0] == job
    assert reader.take_permit() is not None
    assert reader.take_permit() is None


def test_an_unguarded_queue_needs_no_permit(reader, queues, connection):
    job = add(connection, "other")
    assert pop(reader, queues)[0] == job
    assert reader.take_permit() is None


def test_a_paused_queue_is_left_out(reader, queues, breaker, connection):
    breaker.pause()
    waiting, job = add(connection), add(connection, "other")
    assert pop(reader, queues)[0] == job
    assert pop(reader, queues) is None
    assert queues[1].get_job_ids() == [waiting.id]


def test_nothing_is_left_on_its_way_when_one_of_two_queues_is_read(
    reader, queues, breaker, connection
):
    breaker.pause()
    add(connection, "other")
    assert pop(reader, queues)
    assert queues[0].intermediate_queue.get_job_ids() == []


def test_a_single_queue_keeps_what_rq_clears_itself(reader, connection):
    queue = Queue("content", connection=connection)
    job = add(connection)
    assert pop(reader, [queue])
    assert queue.intermediate_queue.get_job_ids() == [job.id]


def test_a_worker_with_nothing_to_read_waits_no_longer_than_asked(reader, queues, breaker):
    breaker.pause()
    with pytest.raises(DequeueTimeout):
        pop(reader, queues[1:], timeout=1)


@pytest.mark.parametrize("names", [NAMES, ("content",)])
def test_a_job_without_a_permit_goes_back_to_the_front(
    reader, breaker, connection, names, monkeypatch
):
    queues = [Queue(name, connection=connection) for name in names]
    first, second = add(connection), add(connection)
    plain = reader.may_read

    def may_read(name):
        if name == "other" or not plain(name):
            return False
        breaker.pause()  # between the permit and the pop
        return True

    monkeypatch.setattr(reader, "may_read", may_read)
    assert pop(reader, queues) is None
    assert queues[-1].get_job_ids() == [first.id, second.id]
    assert queues[-1].intermediate_queue.get_job_ids() == []
    assert first.get_status() == JobStatus.QUEUED


def recover(breaker):
    for _ in range(5):
        breaker.record_rate_limit_error(0.05)
    assert eventually(lambda: not breaker.is_paused())


@pytest.fixture
def probing(store):
    settings = {"push": False, "cooldown": LONG, "recovery": "probe"}
    with Breaker("content", url=store.url, **settings) as breaker:
        yield breaker


def test_one_worker_probes_and_the_others_leave_the_queue_alone(probing, connection, queues):
    first, second = (reading(probing) for _ in range(2))
    jobs = [add(connection) for _ in range(2)]
    recover(probing)
    assert pop(first, queues)[0] == jobs[0]
    assert first.take_permit().is_probe
    assert pop(second, queues) is None
    assert queues[1].get_job_ids() == [jobs[1].id]


@pytest.mark.parametrize("name", NAMES)
def test_a_probe_that_no_job_came_for_is_left_to_others(probing, connection, queues, name):
    first, second = (reading(probing) for _ in range(2))
    recover(probing)
    if name == "other":
        add(connection, "other")
    assert bool(pop(first, queues)) == (name == "other")
    job = add(connection)
    assert pop(second, queues)[0] == job
    assert second.take_permit().is_probe


# -- the pop, at a pace


class Paced:
    """A breaker at a pace: each permit is asked for, and told when it is due."""

    def __init__(self, *due: float) -> None:
        self.due: list[float | None] = list(due)
        self.asked = 0
        self.is_pausing = False

    def acquire(self, timeout):
        assert timeout == 0
        self.asked += 1
        if self.due:
            raise BreakerOpen(
                "content", retry_after=self.due.pop(0), epoch=1, state="half-open"
            )
        permit = Permit()
        permit.is_current = self.still_runs
        return permit

    def still_runs(self):
        """As it is after the permit, if it is being paused just then."""
        if self.is_pausing:
            self.due.append(None)
        return not self.is_pausing


def test_no_job_leaves_the_queue_before_its_slot(queues, connection):
    add(connection)
    reader = reading(Paced(30.0))
    assert pop(reader, queues) is None
    assert queues[1].count == 1
    assert queues[1].intermediate_queue.get_job_ids() == []


def test_a_worker_comes_back_when_its_slot_is_due_and_asks_no_sooner(queues, connection):
    job, paced = add(connection), Paced(0.3)
    began = time.monotonic()
    assert pop(reading(paced), queues, timeout=405)[0] == job
    assert 0.3 <= time.monotonic() - began < 0.8
    assert paced.asked == 2


@pytest.mark.parametrize("names", [NAMES, NAMES[::-1]])
def test_other_queues_are_read_meanwhile(connection, names):
    queues = [Queue(name, connection=connection) for name in names]
    reader = reading(Paced(30.0))
    add(connection)
    for _ in range(3):
        job = add(connection, "other")
        assert pop(reader, queues, timeout=405)[0] == job
    later = threading.Timer(0.2, lambda: add(connection, "other"))
    later.start()
    assert pop(reader, queues, timeout=405)[1].name == "other"
    later.join()


def test_no_slot_is_taken_while_a_queue_ahead_has_jobs(queues, connection):
    paced = Paced()
    reader = reading(paced)
    add(connection), add(connection, "other"), add(connection, "other")
    assert [pop(reader, queues)[1].name for _ in range(3)] == ["other", "other", "content"]
    assert paced.asked == 1
    assert reader.take_permit() is not None


def test_a_worker_with_nothing_else_to_read_sleeps_until_its_slot(connection):
    job, paced = add(connection), Paced(0.2, 0.2)
    began = time.monotonic()
    assert pop(reading(paced), [Queue("content", connection=connection)], 405)[0] == job
    assert 0.4 <= time.monotonic() - began < 0.9
    assert paced.asked == 3


def test_a_slot_far_away_leaves_time_for_a_heartbeat(queues):
    with pytest.raises(DequeueTimeout):
        pop(reading(Paced(30.0, 30.0)), queues, timeout=405)


def test_a_job_popped_as_the_queue_is_paused_goes_back_once(queues, connection):
    job, paced = add(connection), Paced()
    paced.is_pausing = True
    reader = reading(paced)
    with pytest.raises(DequeueTimeout):
        pop(reader, queues, timeout=405)
    assert queues[1].get_job_ids() == [job.id]
    assert reader.take_permit() is None
    assert paced.asked == 2


# -- the pop, how long


def test_a_pop_blocks_for_a_second_at_most(reader, queues):
    blocked = []

    def pop(readable, block):
        blocked.append(block)
        if block is None:
            return
        time.sleep(block)  # as a pop does that blocks and finds nothing
        raise DequeueTimeout

    with pytest.raises(DequeueTimeout):
        dequeue(reader, pop, queues, 405)
    *looks, longest = blocked
    assert looks == [None] * len(queues)
    assert 0 < longest <= 1.0


def test_a_worker_that_was_asked_to_stop_pops_nothing(reader, queues, connection):
    add(connection)
    reader.is_stopping = True
    assert pop(reader, queues, timeout=1) is None
    assert queues[1].count == 1


def test_a_job_goes_back_also_if_the_store_cannot_be_asked(
    reader, queues, connection, monkeypatch
):
    job = add(connection)

    def fail(name):
        raise StoreUnavailable

    monkeypatch.setattr(reader, "admit", fail)
    with pytest.raises(redis.ConnectionError):  # RQ waits, then asks again
        pop(reader, queues)
    assert queues[1].get_job_ids() == [job.id]


# -- the job


class Permit:
    """Notes the calls that it gets."""

    def __init__(self) -> None:
        self.reports: list = []
        self.status = None
        self.running = contextlib.nullcontext
        self.is_current = lambda: True

    def report(self, error=None):
        self.reports.append(error)
        return error and rate_limit(error)

    def unused(self):
        self.reports.append("unused")


class Limited(Exception):
    status_code = 429
    retry_after = 7.0


def raising(error):
    def perform():
        raise error

    return perform


def job(retried=None):
    return SimpleNamespace(number_of_retries=retried)


def test_a_result_passes_through():
    permit = Permit()
    assert perform_guarded(GATE, job(), permit, lambda: 42) == 42
    assert permit.reports == [None]


def test_another_error_passes_through_and_says_nothing():
    permit, error = Permit(), ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        perform_guarded(GATE, job(), permit, raising(error))
    assert permit.reports == [error]


@pytest.mark.parametrize(("before", "after"), [(None, -1), (0, -1), (2, 1)])
def test_a_rate_limited_job_gets_its_attempt_back(before, after):
    permit, its_job, error = Permit(), job(before), Limited()
    result = perform_guarded(GATE, its_job, permit, raising(error))
    assert isinstance(result, Retry)
    assert result.enqueue_at_front
    assert its_job.number_of_retries == after
    assert permit.reports == [error]


# -- real workers


def answered(call):
    """Call until the store answers: on a busy machine it may take longer than a breaker waits."""

    def patiently():
        try:
            return call()
        except StoreUnavailable:
            return None

    return eventually(patiently)


@pytest.fixture
def start(store):
    """Start worker processes; what is still running at the end is ended."""
    started: list[Child] = []

    def start(count=2, settings=None):
        given = json.dumps({"cooldown": LONG} | (settings or {}))
        fleet = [
            Child(f"w{number}", "breaker.demo.worker", f"w{number}", "rq", store.url, given)
            for number in range(len(started), len(started) + count)
        ]
        started.extend(fleet)
        return fleet

    yield start
    stop_all(started)


def test_a_fleet_that_starts_while_the_queue_is_paused(start, breaker, queues, connection):
    other, content = queues
    answered(breaker.pause)
    for _ in range(10):
        add(connection), add(connection, "other")
    start()
    eventually(lambda: other.finished_job_registry.count == 10)
    assert content.count == 10
    assert content.finished_job_registry.count == 0
    answered(breaker.resume)
    eventually(lambda: content.finished_job_registry.count == 10)


def test_a_fleet_that_is_idle_when_the_queue_is_paused(start, breaker, queues, connection):
    other, content = queues
    start()
    add(connection, "other"), add(connection)
    eventually(
        lambda: other.finished_job_registry.count + content.finished_job_registry.count == 2
    )
    answered(breaker.pause)
    for _ in range(10):
        add(connection), add(connection, "other")
    eventually(lambda: other.finished_job_registry.count == 11)
    eventually(lambda: content.started_job_registry.count == 0)
    assert content.count == 10


def test_rate_limited_jobs_burn_no_attempt(start, breaker, queues, connection):
    other, content = queues
    connection.set("limited", 8)
    jobs = [
        add(connection, function=rq_jobs.limited_at_first, retry=Retry(max=1))
        for _ in range(20)
    ]
    start(4, {"threshold": 3})
    eventually(lambda: answered(breaker.status).is_paused)
    for _ in range(5):
        add(connection, "other")
    eventually(lambda: other.finished_job_registry.count == 5)
    eventually(lambda: content.count == 20)
    connection.set("limited", 0)
    answered(breaker.resume)
    eventually(lambda: content.finished_job_registry.count == 20)
    for job in jobs:
        job.refresh()
        assert job.retries_left == 1
        assert not job.number_of_retries
    assert content.failed_job_registry.count == 0
    assert answered(breaker.status).trips == 1


def test_an_error_of_another_kind_is_rqs_business(start, breaker, queues, connection):
    job = add(connection, function=rq_jobs.broken, retry=Retry(max=2))
    start()
    eventually(lambda: queues[1].failed_job_registry.count == 1)
    job.refresh()
    assert job.retries_left == 0
    assert answered(breaker.status).rate_limit_errors == 0


def test_workers_asked_to_stop_lose_nothing(start, queues, connection):
    ids = {add(connection, name).id for _ in range(150) for name in NAMES}

    def done():
        return sum(queue.finished_job_registry.count for queue in queues)

    for enough in (20, 100, 180):
        fleet = start(4)
        while done() < enough:
            fleet[0].check()
        stop_all(fleet)
    found = set()
    for queue in queues:
        found |= {*queue.get_job_ids(), *queue.finished_job_registry.get_job_ids()}
        assert queue.started_job_registry.count == 0
    assert found == ids


def test_it_is_for_forking_workers_too(store, breaker, queues, connection):
    connection.set("limited", 2)
    job = add(connection, function=rq_jobs.limited_at_first, retry=Retry(max=1))
    worker = subprocess.Popen([sys.executable, rq_jobs.__file__, store.url])
    try:
        eventually(lambda: job.get_status() == JobStatus.FINISHED)
    finally:
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(20) == 0
    job.refresh()
    assert job.retries_left == 1
    assert answered(breaker.status).rate_limit_errors == 2


# -- the command line


def rq_worker(store, *names, **environment):
    command = [
        "worker",
        "--url",
        store.url,
        "-w",
        "breaker.integrations.rq.BreakerSimpleWorker",
    ]
    return subprocess.run(
        [sys.executable, "-m", "rq.cli", *command, "--burst", *names],
        env=os.environ | {"BREAKER_URL": store.url} | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def test_the_command_line_takes_the_class_and_the_environment(store, breaker, connection):
    answered(breaker.pause)
    waiting, job = add(connection), add(connection, "other")
    assert rq_worker(store, "content", "other", BREAKER_QUEUES="content").returncode == 0
    assert job.get_status() == JobStatus.FINISHED
    assert waiting.get_status() == JobStatus.QUEUED


@pytest.mark.parametrize(
    ("queues", "message"),
    [
        ("", "no queue is guarded: write BREAKER_QUEUES=content"),
        ("contnet", "there is no queue 'contnet' to guard"),
        ("content=", "'content=' is not of the form QUEUE or QUEUE=BREAKER"),
    ],
)
def test_a_worker_that_guards_no_queue_does_not_start(store, queues, message):
    ended = rq_worker(store, "content", "other", BREAKER_QUEUES=queues)
    assert ended.returncode != 0
    last = ended.stderr.strip().splitlines()[-1]
    assert "ConfigurationError" in last
    assert message in last


def test_a_queue_that_another_worker_reads_may_be_guarded(store, connection):
    add(connection)
    assert rq_worker(store, "other", BREAKER_QUEUES="content").returncode == 0


def test_a_worker_is_guarded_once(connection, store):
    worker = SimpleWorker(["content"], connection=connection)
    install(worker, queues=["content"], url=store.url)
    with pytest.raises(ConfigurationError, match="call install only once"):
        install(worker, queues=["content"], url=store.url)
