"""taskiq: errors at a broker's start; the fleets are in the contract."""

import os
import subprocess
import sys

import pytest
from taskiq import InMemoryBroker
from taskiq_redis import ListQueueBroker, PubSubBroker, RedisStreamBroker

from breaker import ConfigurationError
from breaker.integrations.taskiq import BreakerMiddleware, install
from tests.integrations.fleets import TaskiqFleet

URL = "redis://127.0.0.1:1"


@pytest.mark.parametrize(
    ("broker", "why"),
    [
        (PubSubBroker(URL, queue_name="content"), "keeps no message"),
        (
            RedisStreamBroker(URL, queue_name="content", additional_streams={"other": ">"}),
            "a broker for each queue",
        ),
        (InMemoryBroker(), "has no queue with a name"),
    ],
    ids=["pubsub", "streams", "memory"],
)
def test_a_broker_that_cannot_be_paused_is_refused(broker, why):
    with pytest.raises(ConfigurationError, match=why):
        install(broker, queues=["content"])


def test_a_broker_is_guarded_once():
    broker = ListQueueBroker(URL, queue_name="content")
    install(broker, queues=["content"])
    with pytest.raises(ConfigurationError, match="call install only once"):
        broker.add_middlewares(BreakerMiddleware(["content"]))


def test_a_stream_is_read_one_message_at_a_time():
    broker = RedisStreamBroker(URL, queue_name="content")
    install(broker, queues=["content"])
    assert broker.count == 1


def test_the_error_shows_the_line_to_write():
    with pytest.raises(
        ConfigurationError, match=r'write install\(broker, queues=\["content"\]\)'
    ):
        install(ListQueueBroker(URL, queue_name="content"), queues="content")


def test_a_worker_does_not_start_if_its_queue_is_not_among_the_queues(store):
    fleet = TaskiqFleet(store.url, store.url, "http://127.0.0.1:9", QUEUES="contents")
    try:
        command = [*fleet.command(0)[:-1], "1"]
        ended = subprocess.run(
            [sys.executable, "-m", *command],
            env=os.environ | fleet.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=50,
        )
    finally:
        fleet.end()
    assert "there is no queue 'contents' to guard" in ended.stdout + ended.stderr
