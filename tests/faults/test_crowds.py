"""Threads, tasks and forks: each gets its own replies, and every error counts once."""

import asyncio
import multiprocessing
import threading

import pytest

from breaker import AsyncBreaker, Breaker
from breaker.store import pool
from tests.contract.waiting import eventually
from tests.faults.proxy import Proxy


class Limited(Exception):
    status_code = 429


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """A machine that runs other things meanwhile is not an outage."""
    monkeypatch.setattr("breaker.store.connect.TIMEOUT", 2.0)


def hammer(breaker, times):
    for _ in range(times):
        with pytest.raises(Limited), breaker.guard():
            raise Limited


def in_threads(number, work):
    failed = []

    def run():
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - whatever it is, the test must hear of it
            failed.append(error)

    threads = [threading.Thread(target=run) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


@pytest.mark.parametrize("push", [True, False], ids=["pushed", "strict"])
def test_threads_lose_no_error(url, name, told, push):
    with Breaker(name, url=url, threshold=100_000, pace_from=0, push=push) as breaker:
        in_threads(8, lambda: hammer(breaker, 200))
        status = breaker.status()
        assert (status.consecutive_errors, status.rate_limit_errors) == (1600, 1600)
    assert told() == (0, 0)


def test_threads_trip_once(url, name, caplog):
    with Breaker(name, url=url, threshold=100, cooldown=600.0) as breaker:
        in_threads(8, lambda: [breaker.record_rate_limit_error() for _ in range(50)])
        assert breaker.status().trips == 1
    assert caplog.text.count(": tripped ") == 1


def test_a_crowd_before_a_far_store_is_no_outage(proxy, name, told):
    """A thread that waits for one of the few connections has not met a dead store."""
    proxy.delay = 0.02
    with Breaker(name, url=proxy.url, threshold=1000, pace_from=0, push=False) as breaker:
        in_threads(24, breaker.record_rate_limit_error)
        proxy.delay = 0.0
        assert breaker.status().consecutive_errors == 24
    assert told() == (0, 0)


async def test_tasks_lose_no_error(url, name, told):
    async with AsyncBreaker(
        name, url=url, threshold=100_000, pace_from=0, push=False
    ) as breaker:
        await breaker.record_rate_limit_error()
        await asyncio.gather(*(breaker.record_rate_limit_error() for _ in range(299)))
        assert (await breaker.status()).consecutive_errors == 300
    assert told() == (0, 0)


async def test_who_is_cancelled_in_mid_reply_spoils_nobodys_answer(proxy, name):
    async with AsyncBreaker(
        name, url=proxy.url, push=False, pace_from=0, threshold=1000
    ) as breaker:
        await breaker.record_success()
        for number in range(1, 11):
            proxy.freeze()
            cut = asyncio.create_task(breaker.record_rate_limit_error(error_id=f"{number}"))
            await asyncio.sleep(0)
            await asyncio.to_thread(eventually, lambda: proxy.holds(b"EVALSHA"))
            for _ in range(5):  # in Python 3.11 wait_for, once done, swallows a cancellation
                await asyncio.sleep(0)
            cut.cancel()
            with pytest.raises(asyncio.CancelledError):
                await cut
            proxy.thaw()
            assert not await breaker.is_paused()
            assert len(await breaker.events()) == 0
            again = await breaker.record_rate_limit_error(error_id=f"{number}")
            assert again.rate_limit_errors == number


LOCKS = {
    "a view's": lambda breaker: breaker._watch._view._lock,
    "the pump's": lambda breaker: breaker._watch._pump._lock,
    "the pools'": lambda _: pool._lock,
    "the outage's": lambda breaker: breaker._store._outage._lock,
    "the fallback's": lambda breaker: breaker._store._fallback._lock,
}


def work_in_child(breaker, send):
    with breaker.guard():
        pass
    status = breaker.record_rate_limit_error()
    send.send(status.is_paused)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("store", ["well", "down"])
@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_held_at_a_fork_stops_no_child(server, name, lock, store):
    fork = multiprocessing.get_context("fork")
    with Proxy(server.url) as proxy, Breaker(name, url=proxy.url) as breaker:
        breaker.acquire().success()
        eventually(breaker._watch.is_quiet)
        if store == "down":
            proxy.refuse()
            proxy.kill_all()
        receive, send = fork.Pipe(duplex=False)
        child = fork.Process(target=work_in_child, args=(breaker, send), daemon=True)
        with LOCKS[lock](breaker):  # as if another thread held it at the fork
            child.start()
        try:
            assert receive.poll(timeout=10), "the child hangs"
            assert receive.recv() is False
        finally:
            child.kill()
            child.join()
