"""Dramatiq: errors at a broker's start; the fleets are in the contract."""

import os
import subprocess
import sys
import types

import dramatiq
import pytest
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import SkipMessage

from breaker import Breaker, ConfigurationError
from breaker.integrations.dramatiq import BreakerMiddleware, install
from tests.contract.waiting import eventually
from tests.integrations.fleets import DramatiqFleet


class Limited(Exception):
    status_code = 429


@pytest.fixture
def broker():
    broker = StubBroker()
    yield broker
    broker.close()


def test_a_broker_is_guarded_once(broker):
    install(broker, queues=["content"])
    with pytest.raises(ConfigurationError, match="call install only once"):
        install(broker, queues=["content"])


def test_install_is_too_late_in_a_worker_that_has_started(broker):
    worker = dramatiq.Worker(broker, worker_threads=1)
    worker.start()
    try:
        with pytest.raises(ConfigurationError, match="after the worker started"):
            install(broker, queues=["content"])
    finally:
        worker.stop()


def test_the_error_shows_the_line_to_write(broker):
    with pytest.raises(ConfigurationError, match=r"write install\(broker, queues"):
        install(broker, queues="content")
    with pytest.raises(ConfigurationError, match=r"write BreakerMiddleware\(queues"):
        broker.add_middleware(BreakerMiddleware("content"))


def test_a_worker_does_not_start_if_the_queue_does_not_exist(store):
    fleet = DramatiqFleet(store.url, store.url, "http://127.0.0.1:9", QUEUES="contnet")
    ended = subprocess.run(
        [sys.executable, "-m", *fleet.command(0)],
        env=os.environ | fleet.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert ended.returncode != 0
    assert "there is no queue 'contnet' to guard" in ended.stdout + ended.stderr
    assert 'write install(broker, queues=["content"])' in ended.stdout + ended.stderr


@pytest.fixture
def work(broker, store):
    """Run an actor's messages in a worker, with Dramatiq's own in-memory broker."""
    install(broker, queues=["content"], url=store.url, threshold=2, cooldown=0.2)
    workers = []

    def work(function, **options):
        actor = dramatiq.actor(broker=broker, queue_name="content", **options)(function)
        worker = dramatiq.Worker(broker, worker_threads=1, worker_timeout=50)
        worker.start()
        workers.append(worker)
        return actor

    yield work
    for worker in workers:
        worker.stop()


@pytest.fixture
def breaker(store):
    with Breaker("content", url=store.url, push=False) as breaker:
        yield breaker


def test_a_rate_limited_message_comes_again_without_a_retry(work, broker, breaker):
    runs = []

    def content():
        runs.append(1)
        if len(runs) < 4:
            raise Limited

    work(content, max_retries=0).send()
    eventually(lambda: len(runs) == 4)
    assert breaker.status().rate_limit_errors == 3
    assert broker.dead_letters == []


def test_another_error_is_dramatiqs_business(work, broker, breaker):
    def content():
        raise ZeroDivisionError

    work(content, max_retries=0).send()
    eventually(lambda: broker.dead_letters)
    assert breaker.status().rate_limit_errors == 0


def test_a_retry_is_left_to_dramatiq_but_what_it_wraps_is_evidence(work, broker, breaker):
    def content():
        raise dramatiq.Retry(delay=10) from Limited()

    work(content, max_retries=0).send()
    eventually(lambda: broker.dead_letters)
    assert breaker.status().rate_limit_errors == 1


def test_dramatiqs_own_rate_limiter_is_no_evidence(work, broker, breaker):
    def content():
        raise dramatiq.RateLimitExceeded("too many at a time")

    work(content, max_retries=0).send()
    eventually(lambda: broker.dead_letters)
    assert breaker.status().rate_limit_errors == 0


def test_an_actor_that_is_called_as_a_function_is_not_guarded(broker):
    install(broker, queues=["content"])
    actor = dramatiq.actor(broker=broker, queue_name="content", actor_name="a")(lambda: 42)
    assert actor() == 42


def test_a_message_that_waited_for_a_thread_is_looked_at_again(broker, store, breaker):
    install(broker, queues=["content"], url=store.url, push=False)
    middleware = broker.middleware[-1]
    actor = dramatiq.actor(broker=broker, queue_name="content", actor_name="a")(lambda: None)
    breaker.pause()
    message = dramatiq.MessageProxy(actor.message())
    with pytest.raises(SkipMessage):
        middleware.before_process_message(broker, message)
    assert broker.queues["content"].qsize() == 1
    assert message.options["store_results"] is False


def test_other_queues_are_consumed_by_the_brokers_own_consumer(broker):
    install(broker, queues=["content"])
    broker.declare_queue("content")
    broker.declare_queue("other")
    plain = types.SimpleNamespace(consumer_whitelist=None, worker_threads=1)
    broker.middleware[-1].before_worker_boot(broker, plain)
    kinds = [
        type(broker.consume(name, timeout=10)).__name__
        for name in ("content", "other", "content.DQ")
    ]
    assert kinds == ["GuardedConsumer", "_StubConsumer", "_StubConsumer"]
