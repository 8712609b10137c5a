"""Where workers live: under greenlets, in processes that just end, in several event loops."""

import asyncio
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from breaker import AsyncBreaker
from tests.contract.waiting import eventually
from tests.fleet.leaver import LEAVE

ROOT = Path(__file__).parents[2]
EXIT_CODES = {
    "returns": 0,
    "exits": 3,
    "exits in a thread": 0,
    "is told to end": -signal.SIGTERM,
}
# Seconds from the end of the work to the end of the process.
PROMPT = 3.0


def start(module, *arguments, warnings="error"):
    command = [sys.executable, "-W", warnings, "-m", f"tests.fleet.{module}", *arguments]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    )


def test_greenlets_go_on_while_one_waits(url, name):
    with start("green_worker", url, name, warnings="default") as worker:
        _, said = worker.communicate(timeout=50)
    assert (worker.returncode, said) == (0, "")


@pytest.mark.parametrize("how", LEAVE)
@pytest.mark.parametrize("face", ["sync", "async"])
def test_a_process_ends_in_peace_though_nobody_closed(url, name, face, how):
    with start("leaver", face, how, url, name) as worker:
        assert worker.stdout.readline() == "ready\n"
        if how == "is told to end":
            worker.terminate()
        began = time.monotonic()
        _, said = worker.communicate(timeout=30)
    assert (worker.returncode, said) == (EXIT_CODES[how], "")
    assert time.monotonic() - began < PROMPT


def test_one_event_loop_after_the_other(url, name):
    """One object: a loop closes its own connections, the push goes on for the next one."""
    breaker = AsyncBreaker(name, url=url, threshold=1, cooldown=600)

    async def trip():
        async with breaker.guard():
            pass
        tripped = (await breaker.record_rate_limit_error()).tripped
        await breaker._store.close()
        return tripped

    async def resume():
        assert await breaker.is_paused()
        await breaker.resume()
        await breaker._store.close()  # a loop that ends takes its connections with it

    for _ in range(2):
        assert asyncio.run(trip())
        asyncio.run(resume())
    eventually(lambda: breaker.staleness is not None)
    asyncio.run(breaker.close())


def test_an_event_loop_in_each_of_two_threads(url, name):
    """Each waits in a loop of its own, and one push wakes both."""
    breaker = AsyncBreaker(name, url=url)
    both_wait, woken = threading.Barrier(3, timeout=20), []

    async def wait():
        await breaker.pause()
        both_wait.wait()
        woken.append(await breaker.wait(timeout=50))
        await breaker._store.close()

    async def resume():
        await breaker.resume()
        await breaker._store.close()

    threads = [threading.Thread(target=lambda: asyncio.run(wait())) for _ in range(2)]
    for thread in threads:
        thread.start()
    both_wait.wait()
    assert not woken
    asyncio.run(resume())
    for thread in threads:
        thread.join(timeout=50)
    assert woken == [True, True]
    asyncio.run(breaker.close())
