"""The real SDK, a real envelope, a local server that receives it: one for each trip."""

import gzip
import json
import logging
import multiprocessing
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from breaker import Breaker
from breaker.alerts import compose, sentry
from tests.contract.waiting import eventually

SPAWN = multiprocessing.get_context("spawn")


class Sink(ThreadingHTTPServer):
    """Receives what would go to Sentry."""

    daemon_threads = True

    def __init__(self):
        self.events = []
        super().__init__(("127.0.0.1", 0), Receiver)

    @property
    def dsn(self):
        return f"http://key@127.0.0.1:{self.server_port}/1"


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        lines = body.split(b"\n")
        for header, payload in zip(lines[1::2], lines[2::2], strict=False):
            if json.loads(header).get("type") == "event":
                self.server.events.append(json.loads(payload))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        pass


@pytest.fixture
def sends_alerts():
    return True


@pytest.fixture
def sink():
    with Sink() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def worker(url, name, dsn, barrier):
    import sentry_sdk

    sentry_sdk.init(dsn=dsn, default_integrations=False)
    with Breaker(name, url=url, cooldown=600) as breaker:
        for number in range(5):
            barrier.wait(timeout=60)
            breaker.record_rate_limit_error(error_id=f"{number}-{breaker._asker.worker}")
    sentry_sdk.flush(timeout=10)


def test_one_warning_for_each_trip_in_the_whole_fleet(url, name, sink):
    barrier = SPAWN.Barrier(4)
    fleet = [
        SPAWN.Process(target=worker, args=(url, name, sink.dsn, barrier), daemon=True)
        for _ in range(4)
    ]
    for process in fleet:
        process.start()
    for process in fleet:
        process.join(timeout=60)
        assert process.exitcode == 0
    (event,) = eventually(lambda: sink.events)
    with Breaker(name, url=url) as breaker:
        (trip,) = breaker.events()
    assert event["event_id"] == trip.trip_id
    assert event["level"] == "warning"
    assert event["fingerprint"] == ["breaker", name]
    assert event["tags"]["breaker"] == name
    assert len(event["extra"]["evidence"]) == 5
    for part in (
        name,
        "5 rate limit errors in a row",
        "paused until",
        f"breaker resume {name}",
    ):
        assert part in event["message"]


def test_sentry_failing_breaks_nothing(url, name, monkeypatch, caplog):
    import sentry_sdk

    def fail():
        raise RuntimeError("no")

    monkeypatch.setattr(sentry_sdk, "get_client", fail)
    with Breaker(name, url=url, threshold=1) as breaker:
        assert breaker.record_rate_limit_error().tripped
    assert "tripped closed -> open" in caplog.text
    assert "telling of a transition failed" in caplog.text


def test_without_the_sdk_nothing_is_sent(url, name, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "sentry_sdk", None)
    with Breaker(name, url=url, threshold=1) as breaker:
        assert breaker.record_rate_limit_error().tripped


def test_a_shadow_trip_says_that_nothing_is_paused(url, name):
    with Breaker(name, url=url, threshold=1, mode="shadow") as breaker:
        breaker.record_rate_limit_error()
        (trip,) = breaker.events()
    event = sentry.event_of(compose.alert_of(trip))
    assert "would have been paused" in event["message"]
    assert event["tags"]["breaker.shadow"] == "true"


def fail_and_log(url, name, dsn):
    import sentry_sdk
    from sentry_sdk.integrations.logging import LoggingIntegration

    sentry_sdk.init(dsn=dsn, integrations=[LoggingIntegration(event_level=logging.WARNING)])
    with Breaker(name, url=url, threshold=1, push=False) as breaker:
        breaker.record_rate_limit_error()
    logging.getLogger("breaker").warning("another line")
    sentry_sdk.flush(timeout=10)


def test_the_log_line_of_a_trip_is_no_second_event(url, name, sink):
    process = SPAWN.Process(target=fail_and_log, args=(url, name, sink.dsn), daemon=True)
    process.start()
    process.join(timeout=60)
    assert process.exitcode == 0
    eventually(lambda: len(sink.events) >= 2)
    said = [event.get("message") or event["logentry"]["message"] for event in sink.events]
    assert sorted(text[:5] for text in said) == ["Queue", "anoth"]


def test_a_line_in_the_log_keeps_its_text_under_structlog(url, name, caplog):
    """What an extra calls `event`, structlog prints in place of the message."""
    with Breaker(name, url=url, threshold=1, push=False) as breaker:
        breaker.record_rate_limit_error()
    (record,) = (one for one in caplog.records if "tripped" in one.getMessage())
    assert not hasattr(record, "event")
    assert record.breaker["event"] == "tripped"
    assert "for 60 s" in record.getMessage()
