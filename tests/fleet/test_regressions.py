"""One test for each fault that was found by breaking it."""

import asyncio
import gc
import multiprocessing
import signal

import pytest

from breaker import AsyncBreaker, Breaker, BreakerOpen
from tests.contract.waiting import eventually

LONG = 600.0
SPAWN = multiprocessing.get_context("spawn")


class Limited(Exception):
    status_code = 429


def quiet(breaker):
    breaker.acquire().success()
    eventually(breaker._watch.is_quiet)
    return breaker


def forget(client, name, key="*"):
    for found in client.keys(f"breaker:{{{name}}}:{key}"):
        client.delete(found)


def test_one_slow_command_is_not_an_outage_for_ever(new_server, name):
    server = new_server()
    with Breaker(name, url=server.url, cooldown=LONG) as breaker:
        quiet(breaker)
        server.pause()
        breaker.record_rate_limit_error()
        server.resume()
        eventually(lambda: not breaker._store._outage.is_on)
        assert breaker._store._outage.number == 1
        for _ in range(5):
            breaker.record_rate_limit_error()
        assert breaker.status().is_paused


def test_a_forced_pause_that_was_flushed_does_not_stay(url, name, client):
    with Breaker(name, url=url) as breaker, Breaker(name, url=url, push=False) as other:
        quiet(breaker)
        other.pause()
        eventually(breaker.is_paused)
        forget(client, name)
        other.resume()
        eventually(lambda: not breaker.is_paused())


def test_a_pause_known_from_a_refusal_alone_ends_in_an_outage_too(new_server, name):
    server = new_server()
    with Breaker(name, url=server.url) as other:
        other.pause(0.3)
        with Breaker(name, url=server.url, push=False) as breaker:
            with pytest.raises(BreakerOpen):
                breaker.acquire(timeout=0)
            server.kill()
            eventually(lambda: not breaker.is_paused())
            with breaker.guard():
                pass


def test_a_report_that_fails_does_not_replace_the_jobs_result(url, name, client, caplog):
    def spoil():
        forget(client, name, "state")
        client.set(f"breaker:{{{name}}}:state", "not mine")

    with Breaker(name, url=url, push=False) as breaker:
        with breaker.guard():
            spoil()
        client.delete(f"breaker:{{{name}}}:state")
        with pytest.raises(Limited), breaker.guard():  # noqa: PT012 - in mid-job
            spoil()
            raise Limited
    assert caplog.text.count("a result could not be reported") == 2


async def test_many_tasks_and_few_connections_are_no_outage(url, name):
    async with AsyncBreaker(
        name, url=url, threshold=1_000_000, push=False, pace_from=0
    ) as breaker:
        # Connected beforehand: how long this machine takes to start the tasks is not the question.
        await asyncio.gather(breaker.status(), breaker.status())
        await asyncio.gather(*(breaker.record_rate_limit_error() for _ in range(300)))
        assert (await breaker.status()).consecutive_errors == 300
        assert breaker._store._outage.number == 0


def run_loop_after_loop(url, name, done):
    breaker = AsyncBreaker(name, url=url, push=False)
    for _ in range(30):
        asyncio.run(breaker.is_paused())
    gc.collect()
    done.put(True)
    signal.pause()


def test_an_event_loop_that_ended_leaves_nothing(new_server, name):
    server, done = new_server(), SPAWN.Queue()
    worker = SPAWN.Process(
        target=run_loop_after_loop, args=(server.url, name, done), daemon=True
    )
    worker.start()
    assert done.get(timeout=30)
    with server.client() as client:
        assert len(client.client_list()) < 10
    worker.kill()
    worker.join(timeout=20)


async def test_many_async_breakers_share_two_connections(new_server, name):
    server = new_server()
    breakers = [AsyncBreaker(f"{name}{n}", url=server.url, push=False) for n in range(20)]
    await asyncio.gather(*(breaker.is_paused() for breaker in breakers))
    with server.client() as client:
        assert len(client.client_list()) <= 3
    for breaker in breakers:
        await breaker.close()


def test_a_repeat_after_the_state_is_gone_counts(url, name, client):
    with Breaker(name, url=url, push=False) as breaker:
        breaker.record_rate_limit_error(error_id="e")
        forget(client, name, "state")
        assert not breaker.record_rate_limit_error(error_id="e").duplicate


def test_a_success_under_a_local_permit_closes_nothing(new_server, name):
    server = new_server("--appendonly", "yes", "--appendfsync", "always")
    options = {"url": server.url, "push": False, "threshold": 1, "cooldown": 0.05}
    options["recovery"] = "probe"
    with Breaker(name, **options) as breaker, Breaker(name, **options) as other:
        other.record_rate_limit_error()
        assert other.wait(timeout=20)
        server.kill()
        local = breaker.acquire()
        server.start()
        eventually(lambda: other.acquire().is_probe)
        local.success()
        assert breaker.status().state == "half-open"


def test_a_breaker_made_anew_is_pushed_to(url, name):
    with Breaker(f"{name}-other", url=url) as other:
        quiet(other)
        for _ in range(3):
            with Breaker(name, url=url) as breaker:
                quiet(breaker)


def test_whoever_waits_on_a_closed_breaker_asks_the_store(url, name):
    with Breaker(f"{name}-other", url=url) as other, Breaker(name, url=url) as breaker:
        quiet(other)
        quiet(breaker)
        breaker.close()
        assert breaker._watch.grant() is None
        assert not breaker._watch.runs()


def test_a_subscriber_meets_a_dead_store_in_silence(new_server, name, caplog):
    server = new_server()
    server.kill()
    heard: list[object] = []
    with Breaker(name, url=server.url) as breaker:
        breaker.subscribe(heard.append)
        server.start()
        eventually(lambda: heard)
    assert "a subscriber failed" not in caplog.text


def test_listeners_are_called_by_one_thread_in_order(url, name):
    heard: list[int] = []
    with Breaker(name, url=url) as breaker:
        breaker.subscribe(lambda status: heard.append(status.epoch))
        for _ in range(5):
            breaker.pause()
            breaker.resume()
        eventually(lambda: heard and heard[-1] == 5)
    assert heard == sorted(heard)


@pytest.mark.parametrize("bad", [float("inf"), 1e16])
def test_a_pause_has_a_longest_length(url, name, bad):
    with Breaker(name, url=url) as breaker, pytest.raises(ValueError, match="at most a year"):
        breaker.pause(bad)
