"""What an outage kept from the store is handed in when it is back."""

import asyncio

import pytest

from breaker import AsyncBreaker, Breaker
from breaker.model import Grant
from breaker.protocol.unsent import WORTH, Unsent
from tests.contract.waiting import eventually

LONG = 600.0


@pytest.fixture
def other(server, name):
    """Another worker, with a way of its own to the store."""
    with Breaker(name, url=server.url, cooldown=LONG, push=False) as other:
        yield other


@pytest.mark.parametrize("push", [True, False], ids=["pushed", "strict"])
def test_a_blip_forgets_no_error(proxy, name, other, push):
    with Breaker(name, url=proxy.url, cooldown=LONG, push=push) as breaker:
        breaker.acquire().success()
        proxy.freeze()
        for number in range(5):
            breaker.record_rate_limit_error(retry_after=60, error_id=f"{number}")
        assert breaker.is_paused()
        proxy.thaw()
        eventually(lambda: breaker.is_paused() and other.status().is_paused)
        status = other.status()
        assert (status.consecutive_errors, status.rate_limit_errors) == (5, 5)
        assert 30 < status.resumes_in <= 60
        assert breaker.is_paused()


async def test_in_asyncio_too(proxy, name, other):
    async with AsyncBreaker(name, url=proxy.url, cooldown=LONG, push=False) as breaker:
        await breaker.record_success()
        proxy.freeze()
        for number in range(5):
            await breaker.record_rate_limit_error(error_id=f"{number}")
        proxy.thaw()
        while not other.status().is_paused:
            assert await breaker.is_paused()
            await asyncio.sleep(0.05)
        assert other.status().rate_limit_errors == 5


def test_a_connection_that_swallows_everything_loses_no_error(face, proxy, name, other):
    breaker = face.breaker(name, url=proxy.url)
    breaker.record_success()
    proxy.drop_reply(b"rate_limit_error", how="silent")
    proxy.drop_reply(b"EVALSHA", how="silent")
    breaker.record_rate_limit_error(error_id="once")
    eventually(lambda: not breaker.is_paused() and other.status().rate_limit_errors == 1)
    assert breaker.record_rate_limit_error(error_id="once").duplicate


def test_a_success_meanwhile_ends_the_run(proxy, name, other):
    with Breaker(name, url=proxy.url, push=False) as breaker:
        breaker.record_success()
        proxy.freeze()
        for _ in range(4):
            breaker.record_rate_limit_error()
        breaker.record_success()
        breaker.record_rate_limit_error(error_id="last")
        proxy.thaw()
        eventually(lambda: not breaker.is_paused() and other.status().rate_limit_errors > 0)
        assert other.status().consecutive_errors == 1


def test_one_breaker_hands_in_for_all_of_the_process(proxy, name, server):
    with (
        Breaker(name, url=proxy.url, push=False) as one,
        Breaker(f"{name}-2", url=proxy.url, push=False) as two,
        Breaker(f"{name}-2", url=server.url, push=False) as other,
    ):
        one.record_success()
        proxy.freeze()
        two.record_rate_limit_error()
        proxy.thaw()
        eventually(lambda: not one.is_paused() and other.status().rate_limit_errors == 1)


def error(at=100.0, retry_after=None, grant=None):
    return Unsent(at, retry_after, "e", "rate_limit", grant, ("i", 7))


def test_what_is_handed_in_has_aged():
    assert error(retry_after=60.0).hint(130.0) == 30.0
    assert error(retry_after=60.0).hint(200.0) == 0.001
    assert error().hint(101.0) == 0.0
    assert error().is_worth_it(100.0 + WORTH - 1)
    assert not error().is_worth_it(100.0 + WORTH)
    assert error(retry_after=600.0).is_worth_it(600.0)


def test_what_is_handed_in_has_the_fence_of_its_job():
    own = Grant("p", 3, 1, is_probe=False, incarnation="own")
    local = Grant("p", 99, 1, is_probe=False, is_local=True)
    assert (error(grant=own).fence, error(grant=own).late_fence) == (("own", 3), ("own", 3))
    assert (error(grant=local).fence, error(grant=local).late_fence) == (("", ""), ("i", 7))
    assert (error().fence, error().late_fence) == (("", ""), ("", ""))


# -- leases that no worker knows of

PROBING = {"threshold": 1, "recovery": "probe", "probe_lease": LONG}


@pytest.fixture
def half_open(server, name):
    with Breaker(name, url=server.url, push=False, **PROBING) as other:
        other.record_rate_limit_error(retry_after=0.01)
        eventually(lambda: other.status().state == "half-open")
        other.acquire(timeout=0).release()  # from here on the store knows the script
        yield other


def test_a_lease_whose_answer_was_lost_is_given_back(face, proxy, name, half_open):
    breaker = face.breaker(name, url=proxy.url, **PROBING)
    proxy.drop_reply(b"EVALSHA", how="silent")
    assert breaker.acquire(timeout=0).inner._grant.is_local
    assert half_open.status().probe_until
    eventually(
        lambda: breaker.is_paused() in {True, False} and not half_open.status().probe_until
    )
    assert half_open.acquire(timeout=0).is_probe


async def test_a_cancelled_task_leaves_no_lease(proxy, name, half_open):
    async with AsyncBreaker(name, url=proxy.url, push=False, **PROBING) as breaker:
        await breaker.status()
        proxy.freeze()
        waiting = asyncio.create_task(breaker.acquire(timeout=0))
        await asyncio.to_thread(eventually, lambda: proxy.holds(b"EVAL"))
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        proxy.thaw()
        await asyncio.to_thread(eventually, lambda: not breaker._plans.line.lost)
        assert half_open.acquire(timeout=0).is_probe
