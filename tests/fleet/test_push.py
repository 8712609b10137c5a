"""What workers answer from memory, and when they must not."""

import asyncio
import multiprocessing
import os
import threading
import time

import pytest

from breaker import AsyncBreaker, Breaker, BreakerOpen, ConfigurationError
from breaker.push import pump as push_pump
from tests.contract.waiting import eventually

SPAWN = multiprocessing.get_context("spawn")


def quiet(breaker):
    """Introduce a worker, and wait until nothing has to be asked."""
    breaker.acquire().success()
    eventually(breaker._watch.is_quiet)
    return breaker


def commands(client):
    counted = client.info("commandstats")
    return {
        name.removeprefix("cmdstat_"): count["calls"]
        for name, count in counted.items()
        if name.removeprefix("cmdstat_") in ("evalsha", "eval")
    }


def test_a_healthy_job_costs_no_command(url, name, client):
    with Breaker(name, url=url) as breaker:
        quiet(breaker)
        client.config_resetstat()
        for _ in range(1000):
            assert not breaker.is_paused()
            with breaker.guard():
                pass
            breaker.record_success()
        assert commands(client) == {}


async def test_a_healthy_job_costs_no_command_async(url, name, client):
    async with AsyncBreaker(name, url=url) as breaker:
        await (await breaker.acquire()).success()
        await asyncio.to_thread(eventually, breaker._watch.is_quiet)
        client.config_resetstat()
        for _ in range(1000):
            async with breaker.guard():
                pass
        assert commands(client) == {}


def test_a_permit_given_from_memory_has_an_id_of_its_own_and_reports_once(url, name):
    with Breaker(name, url=url) as breaker:
        quiet(breaker)
        ids = []
        for _ in range(3):
            with breaker.guard() as permit:
                ids += [permit.id, permit.id]
        assert len(ids) == 2 * len({*ids})
        assert permit.rate_limited() is None
        assert breaker.status().consecutive_errors == 0
        with breaker.guard() as permit:
            assert permit.rate_limited() is not None
        assert breaker.status().consecutive_errors == 1


async def test_a_permit_given_from_memory_reports_once_async(url, name):
    async with AsyncBreaker(name, url=url) as breaker:
        await (await breaker.acquire()).success()
        await asyncio.to_thread(eventually, breaker._watch.is_quiet)
        async with breaker.guard() as permit:
            pass
        assert await permit.rate_limited() is None
        async with breaker.guard() as permit:
            assert await permit.rate_limited() is not None
        assert (await breaker.status()).consecutive_errors == 1


def test_one_error_anywhere_makes_all_send_their_successes(url, name, client):
    with Breaker(name, url=url) as breaker, Breaker(name, url=url, push=False) as other:
        quiet(breaker)
        other.record_rate_limit_error()
        eventually(lambda: not breaker._watch.is_quiet())
        client.config_resetstat()
        with breaker.guard():
            pass
        assert commands(client) == {"evalsha": 1}
        assert breaker.status().consecutive_errors == 0
        eventually(breaker._watch.is_quiet)


def test_a_pause_costs_no_command_and_wakes_at_its_end(url, name, client):
    with Breaker(name, url=url) as breaker, Breaker(name, url=url, push=False) as other:
        quiet(breaker)
        other.pause(30)
        eventually(breaker.is_paused)
        client.config_resetstat()
        for _ in range(100):
            assert breaker.is_paused()
            with pytest.raises(BreakerOpen) as refused:
                breaker.acquire(timeout=0)
        assert 0 < refused.value.retry_after <= 30
        assert not breaker.wait(timeout=0.05)
        assert commands(client) == {}


def test_whoever_waits_hears_of_a_resume(url, name):
    with Breaker(name, url=url) as breaker, Breaker(name, url=url, push=False) as other:
        quiet(breaker)
        other.pause()
        eventually(breaker.is_paused)
        woken = []
        waiter = threading.Thread(target=lambda: woken.append(breaker.wait(timeout=50)))
        waiter.start()
        other.resume()
        waiter.join(timeout=20)
        assert woken == [True]


async def test_whoever_awaits_hears_of_a_resume(url, name):
    async with AsyncBreaker(name, url=url) as breaker:
        await breaker.pause()
        waiter = asyncio.create_task(breaker.acquire(timeout=50))
        await asyncio.sleep(0)
        await breaker.resume()
        assert not (await asyncio.wait_for(waiter, timeout=20)).is_probe


def test_a_worker_started_during_a_pause_runs_nothing(url, name):
    with Breaker(name, url=url, push=False) as other:
        other.pause()
    with Breaker(name, url=url) as breaker:
        assert breaker.is_paused()
        with pytest.raises(BreakerOpen):
            breaker.acquire(timeout=0)


def test_a_silent_subscription_is_not_trusted_for_longer_than_it_says(new_server, name):
    server = new_server()
    with Breaker(name, url=server.url) as breaker:
        quiet(breaker)
        server.pause()
        frozen = time.monotonic()
        eventually(lambda: breaker._watch.staleness is None)
        # Measured from the last proof, which is older than the freeze.
        assert breaker._watch._pump.fresh_until <= frozen + push_pump.TRUST
        server.resume()
        eventually(lambda: breaker._watch.staleness is not None)


def test_after_a_cut_the_state_is_read_again(url, name, client):
    with Breaker(name, url=url) as breaker, Breaker(name, url=url, push=False) as other:
        quiet(breaker)
        serial = breaker._watch.serial
        client.client_kill_filter(_type="pubsub")
        eventually(lambda: breaker._watch.serial > serial)
        other.pause()
        eventually(breaker.is_paused)
        eventually(lambda: breaker._watch.paused_left() is not None)


def test_a_lost_state_is_noticed(url, name, client):
    with Breaker(name, url=url) as breaker, Breaker(name, url=url, push=False) as other:
        quiet(breaker)
        client.delete(*client.keys(f"breaker:{{{name}}}:*"))
        other.pause()
        eventually(breaker.is_paused)


def test_subscribers_hear_the_present_state_first_and_every_change(url, name):
    with Breaker(name, url=url) as breaker, Breaker(name, url=url, push=False) as other:
        other.pause(reason="before")
        heard = []
        stop = breaker.subscribe(
            lambda status: heard.append((str(status.state), status.reason))
        )
        eventually(lambda: heard)
        assert heard[0] == ("forced-open", "before")
        other.resume()
        eventually(lambda: heard[-1][0] == "closed")
        stop()
        told = len(heard)
        other.pause()
        eventually(breaker.is_paused)
        assert len(heard) == told


def test_a_failing_subscriber_harms_nobody(url, name, caplog):
    def fail(_):
        raise RuntimeError("no")

    with Breaker(name, url=url) as breaker:
        breaker.subscribe(fail)
        quiet(breaker)
        breaker.pause()
        assert breaker.is_paused()
    assert "a subscriber failed" in caplog.text


def test_subscribing_needs_push(url, name):
    with (
        Breaker(name, url=url, push=False) as breaker,
        pytest.raises(ConfigurationError, match="subscribe needs push=True"),
    ):
        breaker.subscribe(print)


def test_one_subscription_for_all_breakers_of_a_process(server, name, new_server):
    lonely = new_server()
    with lonely.client() as client:
        breakers = [quiet(Breaker(f"{name}-{number}", url=lonely.url)) for number in range(20)]
        kinds = [row["flags"] for row in client.client_list()]
        assert kinds.count("P") == 1
        assert len(kinds) <= 1 + 1 + 2
        for breaker in breakers:
            breaker.close()
        eventually(lambda: [row["flags"] for row in client.client_list()].count("P") == 0)


def test_a_storm_of_runs_is_few_pushes(url, name, client):
    """A few per cent of errors: each is a run of its own."""
    with Breaker(name, url=url, push=False, pace_from=0) as breaker:
        channel = breaker._asker.channel
        with client.pubsub() as listener:
            listener.subscribe(channel)
            eventually(lambda: listener.get_message(timeout=1))
            began = time.monotonic()
            for _ in range(200):
                breaker.record_rate_limit_error()
                breaker.record_success()
            lasted = time.monotonic() - began
            client.publish(channel, "end")
            got = [eventually(lambda: listener.get_message(timeout=1))["data"]]
            while got[-1] != "end":
                got.append(eventually(lambda: listener.get_message(timeout=1))["data"])
    assert len(got) - 1 <= 1 + lasted


def child_work(breaker, send):
    """Run in a forked child: nothing inherited may be used, nothing may hang."""
    for _ in range(push_pump.ASKS_BEFORE_START_IN_CHILD + 1):
        with breaker.guard():
            pass
    eventually(breaker._watch.is_quiet)
    send.send((breaker._watch.is_quiet(), threading.active_count()))


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_has_its_own_subscription(url, name):
    fork = multiprocessing.get_context("fork")
    with Breaker(name, url=url) as breaker:
        quiet(breaker)
        receive, send = fork.Pipe(duplex=False)
        with breaker._watch._pump._lock:  # as if another thread held it at the fork
            child = fork.Process(target=child_work, args=(breaker, send), daemon=True)
            child.start()
        assert receive.poll(timeout=30)
        assert receive.recv() == (True, 2)
        child.join(timeout=20)
        assert breaker._watch.is_quiet()


def end_at_once(url, name):
    breaker = Breaker(name, url=url)
    breaker.acquire().success()
    eventually(breaker._watch.is_quiet)


def test_a_process_ends_though_nobody_closed(url, name):
    worker = SPAWN.Process(target=end_at_once, args=(url, name))
    worker.start()
    worker.join(timeout=30)
    assert worker.exitcode == 0


def test_several_event_loops_in_one_process(url, name):
    breaker = AsyncBreaker(name, url=url)

    async def work():
        async with breaker.guard():
            pass
        await breaker._store.close()

    for _ in range(3):
        asyncio.run(work())
    asyncio.run(breaker.close())


def test_closing_twice_is_harmless(url, name):
    breaker = Breaker(name, url=url)
    breaker.close()
    breaker.close()
    assert os.getpid()


def test_redis_py_logs_no_pushed_message(url, name, caplog):
    caplog.set_level("DEBUG")
    with Breaker(name, url=url) as breaker:
        quiet(breaker)
        breaker.pause()
        eventually(breaker._watch.paused_left)
    assert "Push response" not in caplog.text
