"""Huey: errors at a huey's start, and what a worker does with a task; the fleets are in the contract."""

import datetime as dt
import os
import subprocess
import sys

import pytest
from huey import CancelExecution, MemoryHuey, PriorityRedisHuey, RedisHuey, RetryTask

from breaker import Breaker, ConfigurationError
from breaker.integrations.huey import install
from tests.integrations.fleets import HueyFleet

LATER = dt.datetime(2999, 1, 1)  # noqa: DTZ001 - as Huey's own are


class Limited(Exception):
    status_code = 429


@pytest.fixture
def breaker(store):
    with Breaker("content", url=store.url, push=False) as breaker:
        yield breaker


@pytest.fixture
def huey(store):
    huey = RedisHuey("content", url=store.url)
    install(huey, url=store.url, push=False, threshold=2, cooldown=5)
    return huey


def run(huey):
    """What a worker does in one turn."""
    task = huey.dequeue()
    return None if task is None else huey.execute(task)


def test_a_huey_is_guarded_once(huey):
    with pytest.raises(ConfigurationError, match="call install only once"):
        install(huey)


def test_install_is_too_late_once_there_is_a_consumer():
    huey = MemoryHuey("content")
    huey.create_consumer()
    with pytest.raises(ConfigurationError, match="after the consumer was made"):
        install(huey)


def test_the_error_shows_the_line_to_write():
    with pytest.raises(
        ConfigurationError, match=r'write install\(huey, queues=\["content"\]\)'
    ):
        install(MemoryHuey("content"), queues="content")


def test_a_consumer_does_not_start_if_its_huey_is_not_among_the_queues(store):
    fleet = HueyFleet(store.url, store.url, "http://127.0.0.1:9", QUEUES="contnet")
    ended = subprocess.run(
        [sys.executable, "-m", *fleet.command(0)],
        env=os.environ | fleet.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert ended.returncode != 0
    said = ended.stdout + ended.stderr
    assert "there is no queue 'contnet' to guard" in said
    assert 'write install(huey, queues=["content"])' in said


def test_hueys_may_be_given_the_same_mapping(store):
    both = {"content": "llama", "images": "flux"}
    for name in both:
        huey = MemoryHuey(name)
        install(huey, queues=both, url=store.url)
        huey.create_consumer()


def test_a_rate_limited_task_comes_again_with_its_retries(huey, breaker):
    retries = []

    @huey.task(retries=3, retry_delay=60, context=True)
    def content(task):
        retries.append((task.retries, task.retry_delay))
        if len(retries) == 1:
            raise Limited

    content()
    run(huey)
    huey.enqueue(huey.read_schedule(LATER)[0])
    run(huey)
    assert retries == [(3, 60), (3, 60)]
    assert breaker.status().rate_limit_errors == 1
    assert huey.result_count() == 0


@pytest.mark.parametrize("kind", [RedisHuey, PriorityRedisHuey])
def test_a_task_popped_as_the_queue_was_paused_goes_back(kind, store, breaker):
    class Pausing(kind):  # type: ignore[misc, valid-type] # a parameter
        """Pauses the queue once, just after the pop."""

        def dequeue(self):
            found = super().dequeue()
            if pauses:
                pauses.pop()()
            return found

    pauses = [breaker.pause]
    huey = Pausing("content", url=store.url)
    install(huey, url=store.url, push=False)

    @huey.task()
    def content(number):
        return number

    content(1)
    content(2)
    assert run(huey) is None
    assert huey.pending_count() == 2
    breaker.resume()
    done = [run(huey), run(huey)]
    # Among tasks of one priority Huey keeps the order of enqueueing.
    assert done == [1, 2] if kind is RedisHuey else {1, 2} == set(done)


def test_a_task_for_later_uses_no_slot(huey, breaker):
    @huey.task()
    def content():
        raise AssertionError

    content.schedule(delay=60)
    run(huey)
    assert len(huey.scheduled()) == 1
    assert breaker.status().rate_limit_errors == 0


def test_while_paused_no_task_is_popped(huey, breaker):
    @huey.task()
    def content():
        raise AssertionError

    content()
    breaker.pause()
    assert huey.dequeue() is None
    assert huey.pending_count() == 1


@pytest.mark.parametrize("raised", [CancelExecution(), RetryTask(), ZeroDivisionError()])
def test_hueys_own_exceptions_and_others_are_no_evidence(raised, huey, breaker):
    @huey.task()
    def content():
        raise raised

    content()
    run(huey)
    assert breaker.status().rate_limit_errors == 0


def test_what_a_retry_came_from_is_evidence(huey, breaker):
    @huey.task()
    def content():
        raise RetryTask(delay=60) from Limited()

    content()
    run(huey)
    assert breaker.status().rate_limit_errors == 1
    assert len(huey.scheduled()) == 1


def test_without_requeue_a_rate_limited_task_is_hueys_business(store, breaker):
    huey = RedisHuey("content", url=store.url)
    install(huey, url=store.url, push=False, requeue=False)

    @huey.task()
    def content():
        raise Limited

    content()
    run(huey)
    assert breaker.status().rate_limit_errors == 1
    assert huey.pending_count() == 0
    assert huey.result_count() == 1


def test_a_long_blocking_pop_is_shortened(store):
    huey = RedisHuey("content", url=store.url, read_timeout=30)
    install(huey, url=store.url)
    huey.create_consumer()
    assert huey.storage.read_timeout == 1
