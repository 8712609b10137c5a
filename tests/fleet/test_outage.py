"""The store may die: no job hangs, none fails, and the fleet still stops hammering."""

import time

import pytest

from breaker import AsyncBreaker, Breaker, BreakerOpen, ConfigurationError, StoreUnavailable
from breaker.store.outage import Outage
from breaker.store.target import Target
from tests.contract.waiting import eventually
from tests.faults.proxy import Proxy

LONG = 600.0


@pytest.fixture
def proxy(server):
    with Proxy(server.url) as proxy:
        yield proxy


class Limited(Exception):
    status_code = 429


@pytest.fixture
def dead(new_server):
    """A store that has just died."""
    server = new_server()
    server.kill()
    return server.url


def test_a_worker_alone_counts_by_the_same_rules(dead, name, caplog):
    with Breaker(name, url=dead, threshold=3, cooldown=LONG) as breaker:
        for _ in range(3):
            with pytest.raises(Limited), breaker.guard():
                raise Limited
        assert breaker.is_paused()
        with pytest.raises(BreakerOpen):
            breaker.acquire(timeout=0)
    assert "local breaker of this worker" in caplog.text
    assert caplog.text.count("retrying in the background") == 1


async def test_the_async_worker_does_so_too(dead, name):
    async with AsyncBreaker(name, url=dead, threshold=1, cooldown=LONG) as breaker:
        assert (await breaker.record_rate_limit_error()).tripped
        assert await breaker.is_paused()


def test_a_known_pause_stays(new_server, name):
    server = new_server()
    with Breaker(name, url=server.url, cooldown=LONG) as breaker:
        for _ in range(5):
            breaker.record_rate_limit_error()
        server.kill()
        eventually(lambda: breaker._watch.staleness is None)
        assert breaker.is_paused()
        assert breaker.record_rate_limit_error().resumes_in <= LONG


def test_a_known_pace_is_shared(new_server, name):
    server = new_server()
    with Breaker(name, url=server.url) as breaker:
        breaker.acquire().success()
        eventually(breaker._watch.is_quiet)  # so that it hears of what follows
        assert breaker.observe({"RateLimit-Remaining": "3", "RateLimit-Reset": "600"})
        eventually(lambda: breaker._watch.last.get("listeners"))
        server.kill()
        eventually(lambda: breaker._watch.staleness is None)
        breaker.acquire(timeout=0)
        with pytest.raises(BreakerOpen) as refused:
            breaker.acquire(timeout=0)
        assert refused.value.state == "half-open"


@pytest.mark.parametrize("recovery", ["pace", "probe"])
@pytest.mark.parametrize("is_read", [True, False])
def test_an_outage_just_after_a_pause_begins_half_open(proxy, name, recovery, is_read):
    given = {"threshold": 1, "recovery": recovery, "push": False}
    with Breaker(name, url=proxy.url, **given) as breaker:
        breaker.record_rate_limit_error(retry_after=0.3)
        if is_read:
            eventually(lambda: breaker.status().state == "half-open")
        proxy.freeze()
        eventually(lambda: not breaker.is_paused())
        assert breaker.acquire(timeout=0)._grant.is_local
        with pytest.raises(BreakerOpen) as refused:
            breaker.acquire(timeout=0)
        assert refused.value.state == "half-open"


@pytest.mark.parametrize(("policy", "is_paused"), [("open", True), ("closed", False)])
def test_fixed_answers(dead, name, policy, is_paused):
    with Breaker(name, url=dead, threshold=1, on_store_failure=policy) as breaker:
        assert breaker.is_paused() is is_paused
        breaker.record_rate_limit_error()
        assert breaker.is_paused() is is_paused


def test_raising_is_a_choice(dead, name):
    with Breaker(name, url=dead, on_store_failure="raise") as breaker:
        with pytest.raises(StoreUnavailable):
            breaker.is_paused()
        with pytest.raises(StoreUnavailable):
            breaker.acquire()


def test_operators_and_readers_are_not_told_guesses(dead, name):
    with Breaker(name, url=dead) as breaker:
        for act in (breaker.status, breaker.pause, breaker.resume, breaker.events):
            with pytest.raises(StoreUnavailable):
                act()


def test_an_unknown_choice_is_refused(name):
    with pytest.raises(ConfigurationError, match="on_store_failure must be one of 'local'"):
        Breaker(name, on_store_failure="pray")


def test_a_frozen_store_is_asked_by_nobodys_job(new_server, name, monkeypatch):
    server = new_server()
    with Breaker(name, url=server.url) as breaker:
        breaker.acquire().success()
        eventually(breaker._watch.is_quiet)
        server.pause()
        eventually(lambda: breaker._store._outage.is_on)
        asked: list[object] = []
        monkeypatch.setattr(breaker._store, "_command", lambda *command: asked.append(command))
        for _ in range(1000):
            with breaker.guard():
                pass
        assert asked == []


def test_the_store_is_right_again_when_it_returns(new_server, name, caplog):
    server = new_server("--appendonly", "yes", "--appendfsync", "always")
    with Breaker(name, url=server.url, threshold=3, cooldown=LONG) as breaker:
        breaker.record_rate_limit_error()
        server.kill()
        for _ in range(3):
            breaker.record_rate_limit_error()
        assert breaker.is_paused()
        server.start()
        # What was counted meanwhile is handed in.
        with Breaker(name, url=server.url, push=False) as other:
            eventually(lambda: other.status().consecutive_errors == 3)
        assert breaker.is_paused()
    assert "answers again after" in caplog.text


def test_a_configuration_error_is_no_outage(any_server, name):
    where = any_server.url.partition("//")[2].rpartition("@")[2]
    from breaker import StoreRefused

    refused = pytest.raises(StoreRefused)
    with Breaker(name, url=f"redis://nobody:secret@{where}") as breaker, refused:
        breaker.is_paused()


def test_a_call_has_one_deadline(new_server, name):
    """Generous here; the benchmark has the figures."""
    server = new_server()
    with Breaker(name, url=server.url, push=False) as breaker:
        breaker.record_success()
        server.pause()
        began = time.monotonic()
        assert not breaker.is_paused()
        assert time.monotonic() - began < 5


def test_an_answer_that_comes_after_the_end_begins_no_second_outage(url, caplog):
    outage = Outage(Target.of_url(url))
    asked_at = time.monotonic()
    outage.failed(StoreUnavailable("full"), asked_at)
    outage.ended(is_write=True)
    outage.failed(StoreUnavailable("full"), asked_at)
    assert (outage.is_on, outage.number, outage.failures) == (False, 1, 2)
    assert len(caplog.records) == 2
    outage.failed(StoreUnavailable("full again"), time.monotonic())
    assert (outage.is_on, outage.number) == (True, 2)
