"""The reply is lost, the request was executed: it counts once, and the caller gets the answer."""

import contextlib

import pytest

from breaker import BreakerOpen, StoreUnavailable
from breaker.protocol.scripts import script, script_names
from tests.contract.waiting import eventually

LONG = 600.0


@pytest.fixture
def make(face, proxy, name, client):
    """Make a breaker behind the proxy, which raises rather than guesses."""
    for verb in script_names():  # or the reply lost is NOSCRIPT
        client.script_load(script(verb).body)
    usual = {"url": proxy.url, "on_store_failure": "raise", "cooldown": LONG}
    return lambda **given: face.breaker(name, **usual | {"recovery": "probe"} | given)


@pytest.fixture
def direct(face, server, name):
    """The same breaker, seen by another worker, not through the proxy."""
    usual = {"url": server.url, "cooldown": LONG, "recovery": "probe"}
    return lambda **given: face.breaker(name, **usual | given)


def sha(verb):
    return script(verb).sha.encode()


def events(breaker):
    return [event.event for event in breaker.events() if event.event != "settings"]


def recovering(breaker):
    """Let a breaker with a threshold of 1 trip, and its pause end."""
    breaker.record_rate_limit_error(retry_after=0.001)
    eventually(lambda: not breaker.is_paused())
    return breaker


ORDERS = {
    "pause": (lambda b: b.pause(reason="work"), "forced-open", ["paused"]),
    "resume": (lambda b: b.resume(), "closed", ["paused", "resumed"]),
    "reset": (lambda b: b.reset(), "closed", ["paused", "reset"]),
    "disable": (lambda b: b.disable(), "disabled", ["paused", "disabled"]),
    "enable": (lambda b: b.enable(), "closed", ["disabled", "enabled"]),
    "configure": (lambda b: b.configure({"threshold": 9}), "closed", []),
}
BEFORE = {"resume": "pause", "reset": "pause", "disable": "pause", "enable": "disable"}


def test_an_error_counts_once(make, proxy):
    breaker = make()
    breaker.record_success()
    proxy.drop_reply(sha("rate_limit_error"))
    assert breaker.record_rate_limit_error().consecutive_errors == 1
    assert proxy.lost == 1
    assert breaker.status().rate_limit_errors == 1


def test_who_trips_learns_of_it(make, proxy, caplog):
    breaker = make(threshold=2)
    breaker.record_rate_limit_error()
    proxy.drop_reply(sha("rate_limit_error"))
    assert breaker.record_rate_limit_error().tripped
    assert proxy.lost == 1
    assert breaker.status().trips == 1
    assert events(breaker) == ["tripped"]
    assert caplog.text.count(": tripped ") == 1


def test_a_probes_permit_is_given_once(make, direct, proxy):
    breaker = recovering(make(threshold=1))
    proxy.drop_reply(sha("acquire"))
    permit = breaker.acquire(timeout=0)
    assert proxy.lost == 1
    assert permit.is_probe
    with pytest.raises(BreakerOpen):
        direct(threshold=1).acquire(timeout=0)


def test_a_probes_success_closes_once(make, proxy):
    breaker = recovering(make(threshold=1))
    permit = breaker.acquire(timeout=0)
    proxy.drop_reply(sha("success"))
    permit.success()
    assert proxy.lost == 1
    assert events(breaker) == ["tripped", "half-open", "closed"]


def test_a_released_probe_is_free(make, direct, proxy):
    breaker = recovering(make(threshold=1))
    permit = breaker.acquire(timeout=0)
    proxy.drop_reply(sha("release"))
    permit.release()
    assert proxy.lost == 1
    assert direct(threshold=1).acquire(timeout=0).is_probe


def test_headers_slow_down_once(make, proxy):
    breaker = make(recovery="pace")
    breaker.record_success()
    proxy.drop_reply(sha("observe"))
    assert breaker.observe({"RateLimit-Remaining": "0", "RateLimit-Reset": "30"})
    assert proxy.lost == 1
    assert events(breaker) == ["paced"]


def test_a_slot_whose_answer_is_lost_goes_by_and_the_next_is_taken(make, proxy):
    breaker = make(recovery="pace")
    assert breaker.observe({"RateLimit-Remaining": "9", "RateLimit-Reset": "1"})
    breaker.acquire()
    proxy.drop_reply(sha("acquire"))
    permit = breaker.acquire()
    assert permit.is_paced
    assert not permit._grant.is_local
    assert proxy.lost == 1


def test_a_reader_gets_its_answer(make, proxy):
    breaker = make(threshold=1)
    breaker.record_rate_limit_error()
    proxy.drop_reply(sha("snapshot"), times=1)
    assert breaker.is_paused()
    proxy.drop_reply(b"XREVRANGE")
    assert events(breaker) == ["tripped"]
    assert proxy.lost == 2


@pytest.mark.parametrize("verb", ORDERS)
def test_an_order_is_carried_out_once(make, proxy, verb):
    act, state, history = ORDERS[verb]
    breaker = make()
    if verb in BEFORE:
        ORDERS[BEFORE[verb]][0](breaker)
    proxy.drop_reply(sha(verb))
    status = act(breaker)
    assert proxy.lost == 1
    assert status.state == state
    assert breaker.status().version == status.version
    assert events(breaker) == history


def test_every_script_is_tried_here():
    others = (
        "acquire",
        "forget",
        "observe",
        "rate_limit_error",
        "release",
        "snapshot",
        "success",
    )
    outbox = (
        "claim",
        "note_loss",
        "renew",
    )  # an entry that was taken twice is told twice, under one id
    assert {*ORDERS, *others, *outbox} == {*script_names()}


def test_a_script_that_was_sent_whole_counts_once(make, proxy, client):
    breaker = make()
    client.script_flush()
    proxy.drop_reply(b"EVAL\r\n")
    assert breaker.record_rate_limit_error().consecutive_errors == 1
    assert proxy.lost == 1


@pytest.mark.parametrize("how", ["reset", "silent"])
def test_an_answer_that_stays_away_is_not_counted_twice(make, proxy, how):
    breaker = make()
    breaker.record_success()
    proxy.drop_reply(sha("rate_limit_error"), times=2 if how == "reset" else 1, how=how)
    with pytest.raises(StoreUnavailable):
        breaker.record_rate_limit_error(error_id="job 7")
    assert breaker.status().rate_limit_errors == 1
    # A repeated report gets the reply that it is a duplicate.
    again = breaker.record_rate_limit_error(error_id="job 7")
    assert (again.duplicate, again.rate_limit_errors) == (True, 1)


def test_a_worker_may_guess_meanwhile_and_the_fleet_counts_once(make, proxy):
    breaker = make(on_store_failure="local", threshold=2)
    breaker.record_success()
    proxy.drop_reply(sha("rate_limit_error"), how="silent")
    breaker.record_rate_limit_error()
    assert breaker.status().rate_limit_errors == 1


def test_what_is_executed_late_is_judged_by_its_epoch(make, direct, proxy):
    breaker, other = make(threshold=1), direct(threshold=1)
    permit = breaker.acquire()
    proxy.freeze()
    with pytest.raises(StoreUnavailable):
        permit.rate_limited()
    other.record_rate_limit_error()
    other.resume()
    proxy.thaw()
    eventually(lambda: other.status().rate_limit_errors == 2)
    status = other.status()
    assert (status.state, status.consecutive_errors, status.trips) == ("closed", 0, 1)


def test_what_is_executed_late_counts_once(make, proxy):
    breaker = make()
    breaker.record_success()
    proxy.freeze()
    with pytest.raises(StoreUnavailable):
        breaker.record_rate_limit_error()
    proxy.thaw()

    def counted():
        with contextlib.suppress(StoreUnavailable):
            return breaker.status().rate_limit_errors

    eventually(lambda: counted() == 1)
    assert breaker.record_rate_limit_error().consecutive_errors == 2


def test_a_cut_between_two_calls_costs_nothing(make, proxy):
    breaker = make()
    breaker.record_rate_limit_error()
    for count in range(2, 5):
        proxy.kill_all()
        assert breaker.record_rate_limit_error().consecutive_errors == count


def test_slow_is_not_down(make, proxy):
    breaker = make()
    proxy.delay = 0.02
    assert breaker.record_rate_limit_error().consecutive_errors == 1
    assert not breaker.is_paused()
