"""streaQ: errors at a worker's start; the fleets are in the contract."""

import os
import subprocess
import sys

import pytest
from streaq import Worker

from breaker import ConfigurationError
from breaker.integrations.streaq import install
from tests.integrations.fleets import StreaqFleet

URL = "redis://127.0.0.1:1"


def test_a_worker_is_guarded_once():
    worker = Worker(redis_url=URL, queue_name="content")
    install(worker)
    with pytest.raises(ConfigurationError, match="call install only once"):
        install(worker)


def test_another_event_loop_is_refused():
    with pytest.raises(ConfigurationError, match="anyio_backend"):
        install(Worker(redis_url=URL, queue_name="content", anyio_backend="trio"))


def test_the_error_shows_the_line_to_write():
    with pytest.raises(ConfigurationError, match=r'install\(worker, queues=\["content"\]\)'):
        install(Worker(redis_url=URL, queue_name="content"), queues="content")


def test_a_worker_does_not_start_if_its_queue_is_not_among_the_queues(store):
    fleet = StreaqFleet(store.url, store.url, "http://127.0.0.1:9", QUEUES="contents")
    ended = subprocess.run(
        [sys.executable, "-m", *fleet.command(0)],
        env=os.environ | fleet.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert ended.returncode != 0
    assert "there is no queue 'contents' to guard" in ended.stdout + ended.stderr
