"""Real processes that recover at a pace."""

import collections
import multiprocessing
import os
import signal
import threading
import time

import pytest

from breaker import Breaker
from breaker.pacing import HORIZON
from tests.contract.pacing import commands, pace_of, set_pace, store_now
from tests.contract.waiting import eventually

PROCESSES, THREADS = 8, 2
LONG = 600.0
SPAWN = multiprocessing.get_context("spawn")
FORK = multiprocessing.get_context("fork")


def recovering(breaker, client, rate):
    """The pause of a trip is over, and the pace is given."""
    breaker.record_rate_limit_error(retry_after=0.01)
    eventually(lambda: not breaker.is_paused())
    eventually(lambda: breaker.status().state == "half-open")
    set_pace(client, breaker.name, rate, proven=store_now(client))


@pytest.fixture
def breaker(url, name):
    """The one who looks on: it asks the store each time."""
    with Breaker(name, url=url, threshold=1, cooldown=LONG, push=False) as breaker:
        yield breaker


def work(url, name, barrier, log, stop):
    """Do jobs in two threads, and note each on the store's list: who, and when."""
    with Breaker(name, url=url) as breaker:
        breaker._watch._pump.wake(is_wanted=True)
        eventually(breaker._watch.known)
        barrier.wait(timeout=60)
        threads = [
            threading.Thread(target=do_jobs, args=(breaker, log, stop)) for _ in range(THREADS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def do_jobs(breaker, log, stop):
    while not stop.is_set():
        with breaker.guard():
            log.put((os.getpid(), time.time()))
        time.sleep(0.02)  # the job itself: nothing waits for it


def run_fleet(breaker, url, client, rate, jobs):
    """Run until this many jobs are done; returns start, who did when, and the commands sent.

    The recovery begins when all workers are up: an unused recovery closes after ten seconds.
    """
    barrier, log, stop = SPAWN.Barrier(PROCESSES + 1), SPAWN.Queue(), SPAWN.Event()
    workers = [
        SPAWN.Process(target=work, args=(url, breaker.name, barrier, log, stop), daemon=True)
        for _ in range(PROCESSES)
    ]
    for worker in workers:
        worker.start()
    eventually(lambda: barrier.n_waiting == PROCESSES, deadline=60)
    started = time.time()
    recovering(breaker, client, rate)
    client.config_resetstat()
    barrier.wait(timeout=60)
    done = [log.get(timeout=60) for _ in range(jobs)]
    asked = commands(client)
    stop.set()
    for worker in workers:
        worker.join(timeout=30)
    return started, done, asked


def check_pace(started, done, rate):
    """A busy machine may start a job late, but none before its slot."""
    ahead = rate * HORIZON / 1000
    for count, moment in enumerate(sorted(moment for _, moment in done), start=1):
        assert count <= rate * (moment - started) + ahead + 1


def check_fairness(done):
    counts = collections.Counter(process for process, _ in done)
    assert len(counts) == PROCESSES
    assert min(counts.values()) >= len(done) / PROCESSES / 3


def test_a_small_fleet_keeps_to_the_pace_at_one_command_a_job(breaker, url, client):
    rate = 40.0
    started, done, asked = run_fleet(breaker, url, client, rate, 120)
    check_pace(started, done, rate)
    check_fairness(done)
    # Beside the jobs done, each thread has asked for one more by now, and introduced itself.
    assert asked <= len(done) + 2 * PROCESSES * THREADS


def test_a_large_fleet_keeps_to_the_pace_at_few_commands_a_job(breaker, url, client):
    rate = 10.0
    started, done, asked = run_fleet(breaker, url, client, rate, 40)
    check_pace(started, done, rate)
    check_fairness(done)
    assert asked <= 2.5 * len(done) + 3 * PROCESSES * THREADS


def take_a_slot_and_hang(url, name, taken):
    with Breaker(name, url=url) as breaker:
        breaker.acquire(timeout=20)
        taken.put(True)
        signal.pause()


def test_a_killed_worker_delays_nobody_by_more_than_its_slot(breaker, url, name, client):
    recovering(breaker, client, 2.0)
    taken = SPAWN.Queue()
    victim = SPAWN.Process(target=take_a_slot_and_hang, args=(url, name, taken), daemon=True)
    victim.start()
    assert taken.get(timeout=30)
    os.kill(victim.pid, signal.SIGKILL)
    victim.join(timeout=20)
    before = pace_of(client, name)["slot"]
    breaker.acquire(timeout=20)
    # The next slot is the one after the dead worker's, whenever it was that it was taken.
    after = pace_of(client, name)
    assert after["given"] == 2
    assert after["slot"] <= max(before, store_now(client)) + 500


@pytest.mark.parametrize("push", [True, False])
def test_a_state_lost_in_mid_recovery_holds_nobody_back(breaker, url, name, client, push):
    recovering(breaker, client, 0.02)
    with Breaker(name, url=url, push=push) as waiting:
        breaker.acquire(timeout=20)
        now = store_now(client)
        set_pace(client, name, 0.02, slot=now + 55_000, proven=now)
        turns = pace_of(client, name)["turns"]
        permits = []
        waiter = threading.Thread(target=lambda: permits.append(waiting.acquire(timeout=50)))
        waiter.start()
        eventually(lambda: pace_of(client, name)["turns"] > turns)
        client.delete(*client.keys(f"breaker:{{{name}}}:*"))
        breaker.record_success()  # the first to ask makes a new state, which is pushed
        waiter.join(timeout=20)
        (permit,) = permits
        assert not permit._grant.is_paced


def test_a_slot_of_another_does_not_wake_who_sleeps_but_a_doubling_does(
    breaker, url, name, client
):
    recovering(breaker, client, 1000.0)
    with Breaker(name, url=url) as sleeper:
        sleeper._watch._pump.wake(is_wanted=True)
        eventually(sleeper._watch.known)
        serial, news = sleeper._watch.serial, sleeper._watch.last["news"]
        for _ in range(20):
            breaker.acquire(timeout=20)
        told = breaker._asker.last_reply
        assert (told["news"], told["told"]) == (news, 1000)
        # A PING's answer proves that all that was published has come.
        fresh = sleeper._watch._pump.fresh_until
        eventually(lambda: sleeper._watch._pump.fresh_until > fresh + 1.0)
        assert sleeper._watch.serial == serial
        set_pace(client, name, 2000.0, proven=store_now(client), told=1000.0)
        breaker.acquire(timeout=20)
        eventually(lambda: sleeper._watch.serial > serial)
        assert sleeper._watch.last["told"] == 2000


def own_meter(breaker, send):
    plans = breaker._plans
    send.send(
        (
            plans.meter.done,
            plans.meter.told_for,
            [*plans.line.left_turns],
            [*plans.line.kept_slots],
        )
    )


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("push", [True, False])
def test_a_forked_child_tells_of_nothing_that_is_its_parents(url, name, push):
    with Breaker(name, url=url, threshold=1, push=push) as breaker:
        breaker.record_rate_limit_error(retry_after=0.01)
        assert breaker.wait(timeout=20)
        breaker.record_success()
        plans = breaker._plans
        assert plans.meter.done == 1
        assert plans.meter.told_for
        assert plans.line.kept_slots
        receive, send = FORK.Pipe(duplex=False)
        child = FORK.Process(target=own_meter, args=(breaker, send), daemon=True)
        child.start()
        assert receive.poll(timeout=30)
        assert receive.recv() == (0, None, [], [])
        child.join(timeout=20)


def test_a_restarted_store_goes_on_at_its_pace(new_server, name):
    server = new_server("--appendonly", "yes", "--appendfsync", "always")
    given = {"url": server.url, "threshold": 1, "cooldown": LONG, "push": False}
    with server.client() as client, Breaker(name, **given) as breaker:
        recovering(breaker, client, 1000.0)
        breaker.acquire(timeout=20)
        server.restart()

        def paced():
            grant = breaker.acquire(timeout=20)._grant
            return grant.is_paced and not grant.is_local

        eventually(paced)
        assert pace_of(client, name)["top"] == 1000
        assert breaker.status().state == "half-open"
