"""What goes wrong with one breaker, or one subscriber, is felt by no other."""

import json
import sys
import threading

import pytest

from breaker import Breaker, Status
from tests.contract.waiting import eventually
from tests.fleet.counting import scripts_in_two_heartbeats


def quiet(breaker):
    breaker.acquire().success()
    eventually(breaker._watch.is_quiet)
    return breaker


def test_a_breaker_with_a_foreign_key_takes_push_away_from_no_other(url, name, client, caplog):
    with Breaker(name, url=url) as well, Breaker(f"{name}-spoilt", url=url) as spoilt:
        quiet(well)
        serial = well._watch.serial
        client.set(f"breaker:{{{name}-spoilt}}:state", "not a hash")
        spoilt.subscribe(lambda _: None)
        eventually(lambda: "cannot be read" in caplog.text)
        assert spoilt.staleness is None
        assert not spoilt._watch.runs()
        assert scripts_in_two_heartbeats(client) == 0
        assert well.staleness is not None
        assert well._watch.is_quiet()
        assert well._watch.serial == serial
        assert caplog.text.count("cannot be read") == 1
        assert f"{name}-spoilt" in caplog.text
        client.delete(f"breaker:{{{name}-spoilt}}:state")
        spoilt._watch._view.due = 0.0  # as if the time for the next reading had come
        eventually(lambda: spoilt.staleness is not None)


@pytest.mark.parametrize(
    "text", ["no JSON", "[]", "7", '{"incarnation": null}', json.dumps({"incarnation": "x"})]
)
def test_what_others_publish_on_the_channel_does_no_harm(url, name, client, text):
    with Breaker(name, url=url) as breaker, Breaker(name, url=url, push=False) as other:
        quiet(breaker)
        client.publish(breaker._asker.channel, text)
        other.pause()
        eventually(lambda: breaker._watch.paused_left() is not None)


def test_a_slow_subscriber_blinds_nobody(url, name, client):
    go_on, is_called = threading.Event(), threading.Event()

    def dawdle(_):
        is_called.set()
        assert go_on.wait(timeout=30)

    with (
        Breaker(name, url=url) as slow,
        Breaker(f"{name}-other", url=url) as other,
        Breaker(f"{name}-other", url=url, push=False) as operator,
    ):
        try:
            quiet(slow)
            quiet(other)
            slow.subscribe(dawdle)
            assert is_called.wait(timeout=20)
            heard: list[Status] = []
            slow.subscribe(heard.append)
            eventually(lambda: heard)
            scripts_in_two_heartbeats(client)
            scripts_in_two_heartbeats(client)
            assert other.staleness is not None
            assert slow.staleness is not None
            operator.pause()
            eventually(lambda: other._watch.paused_left() is not None)
        finally:
            go_on.set()


def test_a_subscriber_that_ends_its_thread_ends_nothing_else(url, name, caplog):
    with Breaker(name, url=url) as breaker, Breaker(name, url=url, push=False) as other:
        heard = []

        def leave(status):
            heard.append(status.is_paused)
            sys.exit(1)

        breaker.subscribe(leave)
        eventually(lambda: heard == [False])
        other.pause()
        eventually(lambda: heard == [False, True])
        assert breaker.staleness is not None
    eventually(lambda: caplog.text.count("a subscriber failed") == 2)


def test_a_subscriber_is_called_no_more_once_it_has_left(url, name):
    with Breaker(name, url=url) as breaker, Breaker(name, url=url, push=False) as other:
        first, go_on, heard = threading.Event(), threading.Event(), []

        def slow(status):
            heard.append(status.is_paused)
            first.set()
            assert go_on.wait(timeout=30)

        stop = breaker.subscribe(slow)
        assert first.wait(timeout=20)
        other.pause()
        eventually(lambda: breaker._watch.paused_left() is not None)
        stop()
        go_on.set()
        latest: list[Status] = []
        breaker.subscribe(latest.append)
        eventually(lambda: latest)
        assert heard == [False]
