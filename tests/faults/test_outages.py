"""Whatever is wrong with the store: no job fails of it, and afterwards the breaker is right."""

import contextlib

import pytest

from breaker import Breaker, StoreUnavailable
from tests import servers as real
from tests.contract.waiting import eventually
from tests.faults.states import STATES

LONG = 600.0


@pytest.fixture(autouse=True)
def _patient(monkeypatch):
    """On a busy machine a quarter of a second may be too little for a store that is well."""
    monkeypatch.setattr("breaker.store.connect.TIMEOUT", 1.0)


class Limited(Exception):
    status_code = 429


def limit(breaker):
    with pytest.raises(Limited), breaker.guard():
        raise Limited


def counted(breaker):
    """What the store itself has counted; None while it does not say."""
    with contextlib.suppress(StoreUnavailable):
        return breaker.status().consecutive_errors


@pytest.mark.parametrize("push", [True, False], ids=["pushed", "strict"])
@pytest.mark.parametrize("state", STATES)
def test_an_outage_of_any_kind(new_server, name, told, state, push):
    server = new_server()
    with Breaker(name, url=server.url, threshold=3, cooldown=LONG, push=push) as breaker:
        limit(breaker)
        with STATES[state](server):
            for _ in range(3):
                assert not breaker.is_paused()
                limit(breaker)
            assert breaker.is_paused()
            assert breaker.record_rate_limit_error().is_paused
            assert told() == (1, 0)
            breaker.record_success()  # ends the run: nothing of it is handed in
        # The error before it, and perhaps one that was sent, timed out and is carried out late.
        eventually(lambda: counted(breaker) in (1, 2) and not breaker.is_paused())
        eventually(lambda: told() == (1, 1))
        breaker.reset()
        for _ in range(2):
            limit(breaker)
            assert not breaker.is_paused()
        limit(breaker)
        assert breaker.is_paused()
        assert breaker.status().trips == 1
        assert told() == (1, 1)


@pytest.mark.parametrize("push", [True, False], ids=["pushed", "strict"])
@pytest.mark.parametrize("state", ["READONLY", "OOM", "NOREPLICAS", "MISCONF"])
def test_a_store_that_only_reads_is_one_outage_however_long(
    new_server, name, told, state, push
):
    """What it still answers must not pass for the end: each error would begin a count anew."""
    server = new_server()
    with Breaker(name, url=server.url, threshold=3, cooldown=LONG, push=push) as breaker:
        limit(breaker)
        with STATES[state](server):
            for _ in range(3):
                limit(breaker)
                breaker._store._outage._ask_again = 0.0  # as if the time had passed
                breaker.status()
                breaker.wait(timeout=0)
            assert breaker.is_paused()
            assert told() == (1, 0)
        # What could not be reported is handed in: it trips the breaker, as it did this worker.
        eventually(lambda: breaker.is_paused() and counted(breaker) == 3)
        assert breaker.is_paused()
        assert told() == (1, 1)


# Redis 6.2 lets scripts write without replicas, and has no way to be heard while it loads.
SAID = [
    (state, flavour)
    for flavour in real.FLAVOURS
    for state in STATES
    if flavour != "redis-6.2" or state not in ("NOREPLICAS", "loading")
]


@pytest.mark.parametrize(("state", "flavour"), SAID)
def test_every_server_says_so_in_its_own_words(new_server, name, state, flavour):
    server = new_server(flavour=flavour)
    given = {"url": server.url, "push": False, "on_store_failure": "raise"}
    with Breaker(name, **given) as breaker:
        breaker.record_rate_limit_error()
        with STATES[state](server), pytest.raises(StoreUnavailable):
            breaker.record_rate_limit_error()
        eventually(lambda: counted(breaker) is not None)
