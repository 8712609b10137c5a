"""Scripts, keys, everything may vanish between two calls."""

import pytest

from breaker import Breaker, BreakerOpen
from tests.contract.waiting import eventually

LONG = 600.0


def test_scripts_may_vanish_between_any_two_calls(any_server, name):
    with (
        any_server.client() as client,
        Breaker(name, url=any_server.url, threshold=2, cooldown=LONG, push=False) as breaker,
    ):

        def after_a_flush(act):
            client.script_flush()
            return act()

        permit = after_a_flush(breaker.acquire)
        after_a_flush(permit.rate_limited)
        assert after_a_flush(breaker.status).consecutive_errors == 1
        after_a_flush(breaker.record_success)
        for _ in range(2):
            status = after_a_flush(breaker.record_rate_limit_error)
        assert status.tripped
        assert after_a_flush(breaker.is_paused)
        with pytest.raises(BreakerOpen):
            after_a_flush(lambda: breaker.acquire(timeout=0))
        assert after_a_flush(breaker.resume).state == "closed"
        assert after_a_flush(breaker.pause).state == "forced-open"
        assert after_a_flush(breaker.reset).state == "closed"
        assert after_a_flush(breaker.disable).state == "disabled"
        assert after_a_flush(breaker.enable).state == "closed"
        assert after_a_flush(lambda: breaker.configure({"threshold": 1})).threshold == 1
        assert after_a_flush(breaker.record_rate_limit_error).tripped
        assert [event.event for event in after_a_flush(breaker.events)].count("tripped") == 2


@pytest.mark.parametrize("how", ["flushed", "evicted"])
def test_everything_may_vanish_while_nobody_asks(new_server, name, caplog, how):
    server = new_server()
    given = {"url": server.url, "threshold": 2, "cooldown": LONG}
    with (
        server.client() as client,
        Breaker(name, **given) as one,
        Breaker(name, **given) as two,
    ):
        for breaker in (one, two):
            breaker.acquire().success()
            eventually(breaker._watch.is_quiet)
        if how == "flushed":
            client.flushall()
        else:
            client.delete(*client.keys("breaker:*"))
        assert not one.is_paused()
        assert one.record_rate_limit_error().consecutive_errors == 1
        # A heartbeat of the subscription may have found it first.
        eventually(lambda: caplog.text.count(f"{name}: state-lost") == 1)
        assert two.record_rate_limit_error().tripped
        eventually(lambda: one.is_paused() and two.is_paused())
        assert two.status().threshold == 2
        assert client.smembers("breakers") == {name}


def test_a_pause_may_vanish_and_is_not_taken_for_granted(client, url, name, caplog):
    with Breaker(name, url=url, threshold=1, cooldown=LONG, push=False) as breaker:
        assert breaker.record_rate_limit_error().tripped
        client.delete(*client.keys(f"breaker:{{{name}}}:*"))
        assert not breaker.is_paused()
        assert breaker.record_rate_limit_error().tripped
        assert breaker.is_paused()
        assert "state-lost" in caplog.text
