"""SAQ: errors at a worker's start, and what the log tells; the fleets are in the contract."""

import logging
import os
import subprocess
import sys

import pytest
from saq import Queue
from saq.queue.http import HttpQueue

from breaker import ConfigurationError
from breaker.integrations.saq import install
from tests.integrations.fleets import SaqFleet

URL = "redis://127.0.0.1:1"


class Limited(Exception):
    status_code = 429


def test_a_queue_is_guarded_once():
    queue = Queue.from_url(URL, name="content")
    install(queue)
    with pytest.raises(ConfigurationError, match="call install only once"):
        install(queue)


def test_a_queue_elsewhere_is_refused():
    with pytest.raises(ConfigurationError, match="HttpQueue cannot be guarded"):
        install(HttpQueue("http://127.0.0.1:1", name="content"))


def test_the_error_shows_the_line_to_write():
    with pytest.raises(ConfigurationError, match=r'install\(queue, queues=\["content"\]\)'):
        install(Queue.from_url(URL, name="content"), queues="content")


def test_a_worker_ends_if_its_queue_is_not_among_the_queues(store):
    fleet = SaqFleet(store.url, store.url, "http://127.0.0.1:9", QUEUES="contents")
    try:
        ended = subprocess.run(
            [sys.executable, "-m", *fleet.command(0)],
            env=os.environ | fleet.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=50,
        )
    finally:
        fleet.end()
    assert ended.returncode != 0
    assert "there is no queue 'contents' to guard" in ended.stdout + ended.stderr


@pytest.mark.parametrize(("error", "is_told"), [(Limited(), False), (ValueError(), True)])
def test_a_job_that_goes_back_is_no_error_in_the_log(caplog, error, is_told):
    install(Queue.from_url(URL, name="content"), url=URL)
    with caplog.at_level(logging.ERROR, "saq"):
        logging.getLogger("saq").error("Error processing job", exc_info=error)
    assert bool(caplog.records) == is_told
