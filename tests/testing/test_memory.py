"""breaker.testing: what users' tests can do without Redis and without a sleep."""

import socket
import threading

import pytest

from breaker import BreakerOpen, ConfigurationError, State
from breaker.testing import AsyncMemoryBreaker, MemoryBreaker, MemoryStore


class Limited(Exception):
    status_code = 429


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    connect, here = socket.socket.connect, threading.get_ident()

    def watched(self, *args):
        # A thread that another test has left behind may go on connecting.
        if threading.get_ident() == here:
            pytest.fail("it opened a connection")
        return connect(self, *args)

    monkeypatch.setattr(socket.socket, "connect", watched)


def fail(breaker):
    with pytest.raises(Limited), breaker.guard(timeout=0):
        raise Limited


def test_it_trips_and_resumes_by_the_clock():
    store = MemoryStore()
    breaker = MemoryBreaker("content", store=store, threshold=2, cooldown=60)
    fail(breaker)
    assert not breaker.is_paused()
    fail(breaker)
    assert breaker.status().state is State.OPEN
    with pytest.raises(BreakerOpen) as caught:
        breaker.acquire(timeout=0)
    assert caught.value.retry_after == pytest.approx(60)
    store.advance(59)
    assert breaker.is_paused()
    store.advance(1)
    assert not breaker.is_paused()
    assert breaker.status().state is State.HALF_OPEN


def test_a_wait_moves_the_clock():
    breaker = MemoryBreaker(threshold=1, cooldown=60)
    before = breaker.store.now
    fail(breaker)
    assert breaker.wait(timeout=5) is False
    assert breaker.wait() is True
    assert breaker.store.now - before == pytest.approx(60)


def test_a_wait_without_end_fails_the_test():
    breaker = MemoryBreaker()
    breaker.pause()
    with pytest.raises(AssertionError, match="this wait does not end"):
        breaker.wait()


@pytest.mark.parametrize("kind", [MemoryBreaker, AsyncMemoryBreaker])
@pytest.mark.parametrize("state", list(State))
def test_each_state_can_be_forced(kind, state):
    breaker = kind(threshold=3, min_workers=2)
    for before in (state, "open", "disabled", "closed"):
        breaker.force(before)
        assert breaker.force(state, seconds=30).state is state
    if state is State.OPEN:
        assert breaker.force(state, seconds=30).resumes_in == pytest.approx(30)


def test_a_state_that_cannot_be():
    with pytest.raises(ConfigurationError, match="there is no state 'ajar'"):
        MemoryBreaker().force("ajar")
    with pytest.raises(ConfigurationError, match="mode='shadow'"):
        MemoryBreaker(mode="shadow").force("open")


def test_breakers_of_one_name_on_one_store_are_one_fleet():
    store = MemoryStore()
    one, two = (MemoryBreaker("a", store=store, threshold=2, worker=w) for w in ("w1", "w2"))
    other = MemoryBreaker("b", store=store, threshold=2)
    fail(one)
    fail(two)
    assert one.is_paused()
    assert two.is_paused()
    assert not other.is_paused()
    assert not MemoryBreaker("a").is_paused()


def test_the_history_and_an_operator():
    breaker = MemoryBreaker()
    breaker.pause(30, reason="incident", by="me")
    breaker.resume()
    assert [event.event for event in breaker.events()] == ["paused", "resumed"]
    assert breaker.events(limit=1)[0].event == "resumed"


async def test_the_asynchronous_breaker():
    breaker = AsyncMemoryBreaker(threshold=1)
    with pytest.raises(Limited):
        async with breaker.guard():
            raise Limited
    assert (await breaker.status()).state is State.OPEN
    assert await breaker.wait()
    async with breaker.guard():
        pass
    await breaker.close()


def test_the_fixtures(pytester):
    pytester.makepyfile(
        """
        import pytest

        def test_a_job_waits(memory_breaker, memory_store):
            content = memory_breaker("content", threshold=1)
            content.record_rate_limit_error(30)
            assert content.is_paused()
            memory_store.advance(30)
            assert not content.is_paused()

        def test_each_test_begins_anew(memory_breaker):
            assert memory_breaker("content").status().trips == 0

        def test_both_faces_share_the_store(memory_breaker, async_memory_breaker):
            memory_breaker("a").force("open")
            assert async_memory_breaker("a").store is memory_breaker("b").store
        """
    )
    result = pytester.runpytest_inprocess(
        "-p", "no:randomly", "-p", "no:xdist", "-p", "no:asyncio"
    )
    result.assert_outcomes(passed=3)
