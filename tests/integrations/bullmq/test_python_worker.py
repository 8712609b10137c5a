"""`install(worker)`: BullMQ workers in Python, alone and beside Node's."""

import sys
import time
from pathlib import Path

import pytest
from bullmq import Worker

from breaker import ConfigurationError
from breaker.integrations.bullmq import install
from tests.integrations.contract.conftest import wait_for

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

PROGRAM = [sys.executable, str(Path(__file__).parent / "python_worker.py")]
JOBS = 20


def answered(upstream, queue="content"):
    return len(upstream.answered(queue))


def test_a_rate_limit_stops_the_workers_and_uses_up_no_attempt(setting, upstream, breaker):
    upstream.refuses, upstream.retry_after = True, 60
    for _ in range(2):
        setting.start(PROGRAM)
    setting.add(JOBS, attempts=1)
    wait_for(lambda: breaker.status().is_paused)
    # Jobs in flight at the trip end; then no job may start.
    wait_for(lambda: setting.counts()["active"] == 0)
    paused = time.monotonic()
    setting.add(JOBS, "other")
    setting.add(JOBS, attempts=1, first=JOBS)
    wait_for(lambda: answered(upstream, "other") == JOBS)
    assert not upstream.of("content", since=paused)
    upstream.refuses = False
    wait_for(breaker.resume)
    wait_for(lambda: answered(upstream) == 2 * JOBS)
    assert set(upstream.answered("content").values()) == {1}
    wait_for(lambda: setting.counts()["completed"] == 2 * JOBS)
    assert setting.counts()["failed"] == 0
    assert wait_for(breaker.status).trips == 1


def test_workers_that_start_while_the_queue_is_paused_start_no_job(setting, upstream, breaker):
    wait_for(breaker.pause)
    setting.start(PROGRAM)
    setting.add(5)
    setting.add(5, "other")
    wait_for(lambda: answered(upstream, "other") == 5)
    assert not upstream.of("content")
    wait_for(breaker.resume)
    wait_for(lambda: answered(upstream) == 5)


def test_python_and_node_workers_share_a_queue_and_a_bridge(setting, upstream, breaker):
    upstream.retry_after, upstream.allows = 3.0, 10
    setting.bridge()
    wait_for(lambda: setting.broker.client().exists("bull:content:breaker:health"))
    setting.start(PROGRAM)
    setting.workers(1)
    setting.add(40, attempts=20)
    wait_for(lambda: breaker.status().is_paused)
    upstream.refuses = False
    wait_for(lambda: answered(upstream) == 40)
    assert set(upstream.answered("content").values()) == {1}
    assert len({call.run for call in upstream.of("content")}) == 2
    refused = len(upstream.of("content", status=429))
    assert wait_for(breaker.status).rate_limit_errors <= refused


def test_an_error_that_a_bridge_reads_too_counts_once(setting, upstream, breaker):
    upstream.refuses, upstream.retry_after = True, 60
    setting.bridge()
    wait_for(lambda: setting.broker.client().exists("bull:content:breaker:health"))
    wait_for(lambda: breaker.configure({"threshold": 100}))
    setting.start(PROGRAM, REQUEUE="no")
    setting.add(6, attempts=1)
    wait_for(lambda: setting.counts()["failed"] == 6)
    end = setting.broker.client().xrevrange("bull:content:events", count=1)[0][0]
    wait_for(lambda: setting.broker.client().get("bull:content:breaker:cursor") == end)
    assert wait_for(breaker.status).rate_limit_errors == 6


async def test_a_worker_is_guarded_once():
    worker = Worker("content", None, {"connection": "redis://127.0.0.1:1/0"})
    install(worker)
    with pytest.raises(ConfigurationError, match="only once"):
        install(worker)
