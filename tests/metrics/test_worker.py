"""What a worker tells of itself, while a real store hangs, dies and comes back."""

import math
import multiprocessing
import os
import subprocess
import sys

import pytest

from breaker import AsyncBreaker, Breaker, BreakerOpen, StoreUnavailable, tally
from breaker.metrics import WorkerCollector
from breaker.push.pump import TRUST
from tests.contract.waiting import eventually
from tests.metrics.scraped import scrape, series, value


def told(metric, **labels):
    """The value that is exported now, or None without such a series."""
    return series(scrape(WorkerCollector())).get((metric, frozenset(labels.items())))


def failures():
    return told("breaker_store_failures_total")


def quiet(breaker):
    breaker.acquire().success()
    eventually(breaker._watch.is_quiet)
    return breaker


@pytest.mark.parametrize("how", ["hangs", "dies"])
def test_an_outage_and_its_end(new_server, name, how):
    server = new_server()
    with Breaker(name, url=server.url) as breaker:
        quiet(breaker)
        assert told("breaker_local_fallback", breaker=name) == 0
        assert 0 <= told("breaker_push_staleness_seconds", breaker=name) <= TRUST
        assert 0 <= breaker.staleness <= TRUST
        before = failures()
        (server.pause if how == "hangs" else server.kill)()
        eventually(lambda: told("breaker_local_fallback", breaker=name) == 1)
        eventually(lambda: breaker.staleness is None)
        assert told("breaker_push_staleness_seconds", breaker=name) == math.inf
        assert failures() > before
        (server.resume if how == "hangs" else server.start)()
        eventually(lambda: told("breaker_local_fallback", breaker=name) == 0)
        eventually(lambda: breaker.staleness is not None)
        assert told("breaker_push_staleness_seconds", breaker=name) <= TRUST


def test_a_wait_is_told_and_a_quiet_job_is_not(url, name):
    with Breaker(name, url=url) as breaker:
        quiet(breaker)
        count = told("breaker_wait_seconds_count", breaker=name)
        for _ in range(100):
            assert breaker.wait()
            with breaker.guard():
                pass
        assert told("breaker_wait_seconds_count", breaker=name) == count
        before = told("breaker_wait_seconds_sum", breaker=name)
        breaker.pause(30)
        with pytest.raises(BreakerOpen):
            breaker.acquire(timeout=0.2)
        assert not breaker.wait(timeout=0.2)
    text = scrape(WorkerCollector())  # closed meanwhile: counters stay, gauges do not
    assert value(text, "breaker_wait_seconds_count", breaker=name) == count + 2
    assert value(text, "breaker_wait_seconds_sum", breaker=name) >= before + 0.4
    assert told("breaker_local_fallback", breaker=name) is None
    assert told("breaker_push_staleness_seconds", breaker=name) is None


async def test_the_async_face_tells_the_same(url, name):
    async with AsyncBreaker(name, url=url) as breaker:
        await breaker.pause(30)
        assert not await breaker.wait(timeout=0.2)
        assert told("breaker_wait_seconds_count", breaker=name) == 1
        assert told("breaker_wait_seconds_sum", breaker=name) >= 0.2
        assert told("breaker_push_staleness_seconds", breaker=name) is not None


def test_without_push_there_is_no_staleness(url, name):
    with Breaker(name, url=url, push=False) as breaker:
        assert not breaker.is_paused()
        assert breaker.staleness is None
        assert told("breaker_push_staleness_seconds", breaker=name) is None
        assert told("breaker_local_fallback", breaker=name) == 0


def test_who_lets_an_outage_raise_goes_by_nothing(new_server, name):
    server = new_server()
    with Breaker(name, url=server.url, push=False, on_store_failure="raise") as breaker:
        server.kill()
        before = failures()
        with pytest.raises(StoreUnavailable):
            breaker.is_paused()
        assert failures() > before
        assert told("breaker_local_fallback", breaker=name) == 0


def count_in_child(name, send):
    send.send((told("breaker_wait_seconds_count", breaker=name), failures()))


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_begins_at_nought(url, name):
    fork = multiprocessing.get_context("fork")
    with Breaker(name, url=url, push=False) as breaker:
        breaker.acquire().success()
        receive, send = fork.Pipe(duplex=False)
        child = fork.Process(target=count_in_child, args=(name, send), daemon=True)
        child.start()
        assert receive.poll(timeout=30)
        assert receive.recv() == (None, 0)
        child.join(timeout=20)


SHARED = """
import os, sys
import prometheus_client
from prometheus_client import multiprocess
from breaker import Breaker
from breaker.metrics import WorkerCollector

url, name = sys.argv[1:]
prometheus_client.REGISTRY.register(WorkerCollector())
children = []
for _ in range(3):
    child = os.fork()
    if child == 0:
        breaker = Breaker(name, url=url, push=False)
        breaker.acquire()
        breaker.acquire()
        os._exit(0)
    children.append(child)
for child in children:
    os.waitpid(child, 0)
registry = prometheus_client.CollectorRegistry()
multiprocess.MultiProcessCollector(registry)
print(prometheus_client.generate_latest(registry).decode())
"""


def test_waits_of_forked_workers_are_shared(url, name, tmp_path):
    """In prometheus-client's multiprocess mode, any of them answers for all."""
    run = subprocess.run(
        [sys.executable, "-c", SHARED, url, name],
        env=os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=40,
        check=True,
    )
    assert value(run.stdout, "breaker_wait_seconds_count", breaker=name) == 6


def test_a_wait_that_cannot_be_counted_breaks_no_job(url, name, monkeypatch):
    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(tally, "on_wait", [fail])
    with Breaker(name, url=url, push=False) as breaker, breaker.guard():
        pass
