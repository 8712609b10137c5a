"""Real processes, all at once: one trip, one alert, no lost count."""

import multiprocessing
import os
import signal

from breaker import Breaker
from tests.contract.waiting import eventually

PROCESSES = 16
ROUNDS = 30
SPAWN = multiprocessing.get_context("spawn")


def report_each_round(url, name, barrier, results):
    """In each round, report once at the same moment as everybody else."""
    for number in range(ROUNDS):
        with Breaker(f"{name}-{number}", url=url, cooldown=600) as breaker:
            barrier.wait(timeout=60)
            status = breaker.record_rate_limit_error(retry_after=600)
            results.put((number, status.tripped, status.trip_id))


def test_sixteen_processes_at_once_thirty_times(url, name):
    barrier, results = SPAWN.Barrier(PROCESSES), SPAWN.Queue()
    workers = [
        SPAWN.Process(target=report_each_round, args=(url, name, barrier, results), daemon=True)
        for _ in range(PROCESSES)
    ]
    for worker in workers:
        worker.start()
    told = [results.get(timeout=60) for _ in range(PROCESSES * ROUNDS)]
    for worker in workers:
        worker.join(timeout=20)
    for number in range(ROUNDS):
        assert sum(tripped for told_round, tripped, _ in told if told_round == number) == 1
        with Breaker(f"{name}-{number}", url=url) as breaker:
            status = breaker.status()
            assert (status.trips, status.rate_limit_errors) == (1, PROCESSES)
            assert status.consecutive_errors == 5
            assert [event.event for event in breaker.events()] == ["tripped"]


PROBING = {"threshold": 1, "cooldown": 0.05, "probe_lease": 0.5, "recovery": "probe"}


def take_the_probe(url, name, taken):
    with Breaker(name, url=url, **PROBING) as breaker:
        permit = breaker.acquire(timeout=20)
        taken.put(permit.is_probe)
        signal.pause()


def test_a_killed_probe_costs_one_lease(url, name):
    with Breaker(name, url=url, **PROBING) as breaker:
        breaker.record_rate_limit_error()
        taken = SPAWN.Queue()
        prober = SPAWN.Process(target=take_the_probe, args=(url, name, taken), daemon=True)
        prober.start()
        assert taken.get(timeout=30)
        os.kill(prober.pid, signal.SIGKILL)
        prober.join(timeout=20)
        with breaker.guard(timeout=20) as permit:
            assert permit.is_probe
        assert breaker.status().state == "closed"


def trip_and_die(url, name):
    breaker = Breaker(name, url=url, cooldown=0.3)
    for _ in range(5):
        status = breaker.record_rate_limit_error()
    assert status.tripped
    os.kill(os.getpid(), signal.SIGKILL)


def test_it_resumes_with_nobody_alive(url, name, client):
    worker = SPAWN.Process(target=trip_and_die, args=(url, name), daemon=True)
    worker.start()
    worker.join(timeout=30)
    assert worker.exitcode == -signal.SIGKILL
    eventually(lambda: not client.exists(f"breaker:{{{name}}}:pause"))
    with Breaker(name, url=url) as breaker:
        assert not breaker.is_paused()
        assert breaker.status().trips == 1
