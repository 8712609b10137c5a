"""The feed: every event reaches every listener, also one that comes back."""

import contextlib
import json
import socket

import httpx
import pytest

from breaker import Breaker
from tests.service.running import serving


@contextlib.contextmanager
def listening(service, last_id="", **params):
    """Yields a function that returns the next event, and its id."""
    headers = {"Last-Event-ID": last_id} if last_id else {}
    with httpx.stream(
        "GET", f"{service.url}/v1/events", params=params, headers=headers, timeout=30
    ) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.iter_lines()
        assert next(lines).startswith("retry:")

        def take():
            found: dict[str, str] = {}
            for line in lines:
                if not line and "data" in found:
                    return found["id"], json.loads(found["data"])
                key, _, value = line.partition(": ")
                found[key] = value
            raise AssertionError("the stream ended")

        yield take


@pytest.fixture
def url(new_server):
    """A store of the test's own: the service logs what happens to all breakers of its store."""
    return new_server().url


@pytest.fixture
def service(url):
    with serving(url) as service:
        yield service


def until(take, name, event):
    """The id of the first event of this kind and breaker."""
    while True:
        event_id, told = take()
        if (told["name"], told["event"]) == (name, event):
            return event_id


def test_events_of_known_and_of_new_breakers(service, url, name):
    with Breaker(name, url=url) as known, Breaker(f"{name}-new", url=url) as new:
        known.pause()
        with listening(service, "1") as take:
            until(take, name, "paused")  # so the reader has begun
            known.resume()
            until(take, name, "resumed")
            new.pause(reason="why")
            until(take, f"{name}-new", "paused")


def test_a_listener_that_comes_back_misses_nothing_here_or_elsewhere(service, url, name):
    with Breaker(name, url=url) as breaker:
        breaker.pause()
        with listening(service, "1", breaker=name) as take:
            last_id = until(take, name, "paused")
        breaker.resume()
        breaker.disable()
        with serving(url) as other:
            for instance in (service, other):
                with listening(instance, last_id, breaker=name) as take:
                    until(take, name, "resumed")
                    until(take, name, "disabled")


def test_only_one_breaker_is_told_of(service, url, name):
    with Breaker(name, url=url) as wanted, Breaker(f"{name}-other", url=url) as other:
        other.pause()
        wanted.pause()
        with listening(service, "1", breaker=name) as take:
            assert take()[1]["name"] == name


@pytest.mark.parametrize("last_id", ["x", "1-1", "-5", "٣"])
def test_an_id_of_another_stream_begins_anew(service, url, name, last_id):
    with Breaker(name, url=url) as breaker:
        breaker.pause()
        port = int(service.url.rsplit(":", 1)[1])
        with socket.create_connection(("127.0.0.1", port), 5) as client:
            request = f"GET /v1/events HTTP/1.1\r\nHost: x\r\nLast-Event-ID: {last_id}\r\n\r\n"
            client.sendall(request.encode())
            assert client.recv(15).startswith(b"HTTP/1.1 200")
