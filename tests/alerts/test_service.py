"""Where no worker is alive, the service tells; what is wrong with its channels ends its start."""

import os
import subprocess
import sys

import pytest

from breaker import Breaker
from tests.contract.waiting import eventually

SERVE = [sys.executable, "-m", "breaker", "serve", "--port", "0"]


@pytest.mark.integration
def test_the_service_tells_what_no_worker_is_alive_to_tell(
    new_server, name, sink, kill_between
):
    store = new_server()
    environment = os.environ | {"BREAKER_URL": store.url, "SENTRY_DSN": sink.dsn}
    with subprocess.Popen(SERVE, env=environment, stderr=subprocess.PIPE, text=True) as service:
        try:
            assert service.stderr is not None
            while "serving http://" not in (line := service.stderr.readline()):
                assert line, "it has ended"
            with Breaker(name, url=store.url, threshold=1, push=False) as breaker:
                breaker.acquire().success()  # the queue has been used before
            kill_between(store.url, name)
            (event,) = eventually(lambda: sink.events)
            with Breaker(name, url=store.url, push=False) as breaker:
                trips = [one.trip_id for one in breaker.events() if one.event == "tripped"]
            assert [event["event_id"]] == trips
        finally:
            service.terminate()


@pytest.mark.integration
def test_a_service_whose_channels_are_wrong_does_not_start(new_server):
    environment = os.environ | {"BREAKER_URL": new_server().url, "BREAKER_ALERTS": "pager"}
    ended = subprocess.run(
        SERVE, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode != 0
    assert "there is no channel 'pager'" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.integration
@pytest.mark.parametrize(
    ("status", "said"), [(200, "delivered"), (404, "not delivered: HTTP 404")]
)
def test_a_channel_can_be_tried(sink, status, said):
    sink.status = status
    environment = os.environ | {"BREAKER_ALERTS": f"slack+{sink.url}"}
    ended = subprocess.run(
        [sys.executable, "-m", "breaker", "alerts", "test"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.stdout.startswith("slack:127.0.0.1:")
    assert said in ended.stdout
    assert ended.returncode == (status != 200)
