"""A subscription that is alive proves nothing about what is published, nor about the past."""

import contextlib
import math
import time
from functools import partial

import pytest

from breaker import Breaker
from breaker.alerts import outbox
from tests.contract.waiting import eventually
from tests.fleet.counting import HEARTBEATS, ran


def quiet(breaker):
    breaker.acquire().success()
    # Quiet it is as soon as an own reply says so; what is pushed counts from the next proof on.
    eventually(lambda: breaker._watch.is_quiet() and breaker._watch._view._heard != math.inf)
    return breaker


@pytest.fixture
def store(new_server):
    return new_server()


def without(store, *commands):
    """The URL of a user who may do everything else; in parentheses stands what it may after all."""
    with store.client() as client:
        denied = [each if each.startswith("(") else f"-{each}" for each in commands]
        client.execute_command(
            "ACL", "SETUSER", "mute", "on", ">pw", "~*", "&*", "+@all", *denied
        )
    return store.url.replace("redis://", "redis://mute:pw@")


def refused(client, command):
    return client.info("commandstats").get(f"cmdstat_{command}", {}).get("rejected_calls", 0)


@pytest.fixture
def mute(store):
    return without(store, "publish")


def beats_until(client, look):
    """How many heartbeats go by until something is seen."""
    before = ran(client, *HEARTBEATS)
    eventually(look)
    return ran(client, *HEARTBEATS) - before


def test_a_trip_that_another_user_may_not_publish_is_seen(store, mute, name, caplog):
    with (
        store.client() as client,
        Breaker(name, url=store.url, threshold=2) as worker,
        Breaker(name, url=mute, threshold=2, push=False) as other,
    ):
        quiet(worker)
        other.record_rate_limit_error()
        assert beats_until(client, lambda: not worker._watch.is_quiet()) <= 2
        eventually(lambda: "did not arrive" in caplog.text)
        assert worker.staleness is None
        with worker.guard():
            pass
        assert worker.status().consecutive_errors == 0
        for _ in range(2):
            other.record_rate_limit_error()
        assert worker.is_paused()
        # Until something arrives again, the store is asked each time.
        with Breaker(name, url=store.url, push=False) as operator:
            operator.resume()
        eventually(lambda: worker.staleness is not None)
        eventually(lambda: "arrive again" in caplog.text)
        assert caplog.text.count("did not arrive") == 1
        eventually(worker._watch.is_quiet)


def test_a_fleet_that_may_not_publish_asks_each_time(store, mute, name):
    with (
        Breaker(name, url=mute, threshold=1) as worker,
        Breaker(name, url=mute, threshold=1, push=False) as other,
    ):
        worker.acquire().success()
        eventually(lambda: worker._watch._view.last)
        other.record_rate_limit_error()
        assert worker.is_paused()
        assert worker.staleness is None


def test_an_own_reply_that_is_ahead_of_the_push_is_waited_for(url, name, client):
    with Breaker(name, url=url) as worker:
        quiet(worker)
        for _ in range(3):
            worker.pause()
            worker.resume()
        before = ran(client, *HEARTBEATS)
        eventually(lambda: ran(client, *HEARTBEATS) >= before + 2)
        assert not worker._watch._view.is_deaf
        assert worker.staleness is not None


@pytest.mark.parametrize("how", ["a pushed change", "nothing pushed"])
def test_a_store_that_went_back_in_time_is_believed(store, name, caplog, how):
    url, client = store.url, store.client()
    state = f"breaker:{{{name}}}:state"
    with (
        Breaker(name, url=url, threshold=1) as worker,
        Breaker(name, url=url, threshold=1, push=False) as other,
    ):
        quiet(worker)
        old = client.dump(state)
        for _ in range(5):
            other.record_rate_limit_error()
            other.reset()
        eventually(worker._watch.is_quiet)
        eventually(lambda: worker._watch.last["version"] == other.status().version)
        client.restore(state, 0, old, replace=True)
        if how == "a pushed change":
            assert other.record_rate_limit_error().tripped
            eventually(lambda: worker._watch.paused_left() is not None)
            assert worker.is_paused()
        eventually(lambda: worker._watch.last["version"] == other.status().version)
        eventually(lambda: "state-lost" in caplog.text)
        assert other.status().incarnation == worker.status().incarnation
        # Two breakers of this process notice it, at two moments.
        assert caplog.text.count("state-lost") == 1
        assert not worker._watch._view.is_deaf


def test_a_loss_of_all_state_is_found_in_all_breakers_at_once(store, name, monkeypatch):
    """A heartbeat looks at one breaker; what it finds is a reason to read the others too."""
    # Its script reads fields too, as heartbeats do.
    monkeypatch.setattr(outbox, "note_loss", lambda *_: None)
    with store.client() as client, contextlib.ExitStack() as stack:
        breakers = [
            stack.enter_context(Breaker(f"{name}-{number}", url=store.url))
            for number in range(40)
        ]
        for breaker in breakers:
            quiet(breaker)
        before = [breaker._watch.last["incarnation"] for breaker in breakers]
        client.flushall()

        def are_found():
            found = [breaker._watch.last.get("incarnation") for breaker in breakers]
            return all(new != old for new, old in zip(found, before, strict=True))

        assert beats_until(client, are_found) < 20


def test_a_pause_that_ends_by_itself_is_told_at_that_moment(url, name, client):
    with (
        Breaker(name, url=url, recovery="resume") as hears,
        Breaker(name, url=url, push=False) as other,
    ):
        heard = []
        hears.subscribe(lambda status: heard.append((time.monotonic(), str(status.state))))
        eventually(lambda: heard)
        other.pause(0.4)
        eventually(lambda: len(heard) == 2)
        scripts = ran(client, "evalsha", "eval")
        eventually(lambda: len(heard) == 3)
        assert [state for _, state in heard] == ["closed", "forced-open", "closed"]
        # No other process asks: this one notices the end because it asks once when the pause is over.
        assert ran(client, "evalsha", "eval") - scripts == 1
        assert hears._watch.runs()


@pytest.mark.parametrize("command", ["subscribe", "ping"])
def test_a_missing_right_is_said_once_and_the_store_is_asked(store, name, caplog, command):
    # Without HMGET, a heartbeat is a PING.
    url = without(store, command, "hmget")
    with store.client() as client, Breaker(name, url=url) as breaker:
        breaker.acquire().success()
        eventually(lambda: "push does not work" in caplog.text)
        connections = client.info("stats")["total_connections_received"]
        eventually(
            lambda: client.info("stats")["total_connections_received"] >= connections + 2
        )
        assert breaker.staleness is None
        with breaker.guard():
            pass
        assert not breaker.is_paused()
    assert caplog.text.count("push does not work") == 1
    assert command in caplog.text


def test_without_the_right_to_read_fields_a_heartbeat_is_a_ping(store, name, caplog):
    with store.client() as client, Breaker(name, url=without(store, "hmget")) as breaker:
        quiet(breaker)
        pings = ran(client, "ping")
        eventually(lambda: ran(client, "ping") >= pings + 2)
        assert breaker.staleness is not None
        assert breaker._watch.is_quiet()
        assert refused(client, "hmget") <= 2
    assert "push" not in caplog.text


def test_a_heartbeat_that_is_refused_for_one_breaker_looks_at_the_others(store, name):
    url = without(store, "hmget", f"(+hmget ~breaker:{{{name}-may}}:*)")
    with (
        store.client() as client,
        Breaker(f"{name}-may-not", url=url) as may_not,
        Breaker(f"{name}-may", url=url) as may,
    ):
        quiet(may_not)
        quiet(may)
        looks = ran(client, "hmget")
        eventually(lambda: ran(client, "hmget") >= looks + 4)
        assert refused(client, "hmget") <= 2
        assert may_not.staleness is not None


def test_a_connection_says_what_it_is_for(store, name):
    with (
        store.client() as client,
        Breaker(name, url=store.url) as breaker,
        Breaker(name, url=without(store, "client")) as nameless,
    ):
        quiet(breaker)
        quiet(nameless)
        listed = client.client_list()
        assert [row["name"] for row in listed].count("breaker-push") == 1
        assert [row["flags"] for row in listed].count("P") == 2


def holds(heard, number):
    return len(heard) == number


def test_every_server_delivers_in_order(any_server, name):
    """A reading that ends a pause publishes it, and hears of that over the same connection."""
    heard = []
    with Breaker(name, url=any_server.url, recovery="resume") as breaker:
        quiet(breaker)
        breaker.subscribe(lambda status: heard.append(str(status.state)))
        eventually(lambda: heard)
        for _ in range(3):
            known = len(heard)
            breaker.pause(0.05)
            eventually(partial(holds, heard, known + 2))
        assert heard == ["closed", *["forced-open", "closed"] * 3]
        with any_server.client() as client:
            beats = ran(client, *HEARTBEATS)
            eventually(lambda: ran(client, *HEARTBEATS) >= beats + 1)
        assert not breaker._watch._view.is_deaf
        assert breaker.staleness is not None
