"""The subscription's connection is there and says nothing, then all of it at once."""

import json

import pytest

from breaker import Breaker
from breaker.push.pump import TRUST
from breaker.push.view import View
from tests.contract.waiting import eventually

LONG = 600.0


@pytest.fixture
def breaker(proxy, name):
    """A worker behind the proxy that needs to ask nothing."""
    with Breaker(name, url=proxy.url, cooldown=LONG) as breaker:
        breaker.acquire().success()
        eventually(breaker._watch.is_quiet)
        yield breaker


@pytest.fixture
def other(server, name):
    """Another worker, with a way of its own to the store."""
    with Breaker(name, url=server.url, cooldown=LONG, push=False) as other:
        yield other


def test_it_is_not_trusted_past_its_bound_and_recovers(proxy, breaker, other):
    proxy.freeze()
    trusted_to = breaker._watch._pump.fresh_until
    eventually(lambda: breaker._watch.staleness is None)
    assert breaker._watch.grant() is None
    assert not breaker._watch.is_quiet()
    assert breaker._watch._pump.fresh_until <= trusted_to + TRUST
    other.pause()
    proxy.thaw()
    eventually(lambda: breaker._watch.paused_left() is not None)
    other.resume()
    eventually(breaker._watch.runs)


def test_what_comes_late_comes_in_order(proxy, breaker, other):
    """A short freeze: the connection outlives it, and delivers what was said meanwhile."""
    seen = []
    stop = breaker.subscribe(lambda status: seen.append((status.version, status.is_paused)))
    eventually(lambda: seen)
    known = len(seen)
    proxy.freeze()
    other.pause()
    other.resume()
    other.pause()
    last = other.resume().version
    proxy.thaw()
    eventually(lambda: seen[-1] == (last, False))
    stop()
    versions = [version for version, _ in seen[known:]]
    assert versions == sorted(versions)
    assert not breaker.is_paused()


def test_an_old_message_neither_opens_nor_closes(server, name, other):
    view, now = View(), 0.0
    said = [other._store.run(other._asker.read())]
    for act in (other.record_success, other.pause, other.resume):
        act()
        said.append(other._store.run(other._asker.read()))
    _, closed, paused, resumed = said
    view.learn(paused, now, is_proof=True)
    view.hear(closed, now)
    assert view.paused_left(now)
    view.learn(resumed, now)
    view.hear(paused, now)
    assert view.runs


def test_a_cut_in_mid_pause_does_not_let_a_job_through(proxy, breaker, other):
    other.pause()
    eventually(breaker.is_paused)
    for _ in range(20):
        proxy.kill_all()
        assert breaker.is_paused()


def test_nobody_lets_the_worker_in_again_and_it_goes_by_itself(
    proxy, breaker, other, told, caplog
):
    proxy.refuse()
    proxy.kill_all()
    for _ in range(5):
        breaker.record_rate_limit_error()
    assert breaker.is_paused()
    proxy.accept()
    eventually(lambda: other.status().is_paused)
    assert other.status().consecutive_errors == 5
    eventually(lambda: told() == (1, 1))
    assert breaker.is_paused()
    said = [one.breaker for one in caplog.records if getattr(one, "breaker", None)]
    down, up = (one for one in said if one["event"].startswith("store-"))
    assert (down["event"], up["event"]) == ("store-down", "store-up")
    assert json.loads(json.dumps(down))["reason"]
    assert up["lasted"] >= 0


def test_one_slow_answer_is_a_short_outage(proxy, breaker, other, told):
    """The subscription is well all the time: a worker must find out that commands work again."""
    proxy.drop_reply(b"EVALSHA", how="silent")
    breaker.record_rate_limit_error()
    eventually(lambda: told() == (1, 1))
    counted = other.status().consecutive_errors
    breaker.record_rate_limit_error()
    assert other.status().consecutive_errors == counted + 1
