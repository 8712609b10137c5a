"""A process that is told to stop, loops that end, connections that others still use."""

import asyncio
import math
import subprocess
import sys
import textwrap
import threading

import pytest

from breaker import AsyncBreaker, Breaker, BreakerStopped
from breaker.store.bounded import set_deadline
from breaker.store.pool import Pool
from breaker.store.target import Target
from tests.contract.waiting import eventually


def ours(client):
    """The connections of breakers that a server has."""
    return [row["name"] for row in client.client_list() if row["name"].startswith("breaker")]


@pytest.mark.parametrize("push", [True, False], ids=["pushed", "strict"])
def test_close_ends_all_waiting_and_leaves_nothing(new_server, name, push):
    server = new_server()
    breaker = Breaker(name, url=server.url, push=push)
    breaker.pause()
    ended = []

    def wait(how):
        try:
            getattr(breaker, how)()
        except BreakerStopped as error:
            ended.append(error)

    threads = [threading.Thread(target=wait, args=(how,)) for how in ("wait", "acquire")]
    for thread in threads:
        thread.start()
    eventually(lambda: len(breaker._store._wakers) == 2)
    breaker.close()
    for thread in threads:
        thread.join(timeout=20)
    assert len(ended) == 2
    with server.client() as client:
        eventually(lambda: ours(client) == [])


async def test_in_asyncio_too(new_server, name):
    server = new_server()
    breaker = AsyncBreaker(name, url=server.url)
    await breaker.pause()
    waiting = [asyncio.create_task(breaker.wait()), asyncio.create_task(breaker.acquire())]
    await asyncio.to_thread(eventually, lambda: len(breaker._store._wakers) == 2)
    await breaker.close()
    ended = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(one) for one in ended] == [BreakerStopped, BreakerStopped]
    with server.client() as client:
        await asyncio.to_thread(eventually, lambda: ours(client) == [])


class Limited(Exception):
    status_code = 429


def test_a_guard_that_outlives_its_breaker_lets_the_jobs_error_out(face, url, name):
    breaker = face.breaker(name, url=url)

    def job(_):
        face.finish(
            breaker.inner.close()
        ) if face._loop is None else breaker.inner._store.stop()
        raise Limited

    with pytest.raises(Limited):
        face.within(breaker.inner.guard(), job)


def test_a_loop_that_ends_takes_its_connections_with_it(new_server, name):
    server = new_server()
    breaker = AsyncBreaker(name, url=server.url, push=False)
    for _ in range(5):
        asyncio.run(breaker.record_rate_limit_error())
        with server.client() as client:
            assert ours(client) == []


def test_loops_of_many_threads_do_not_race_for_connections(url, name):
    breaker = AsyncBreaker(name, url=url, push=False, threshold=1000)
    failed = []

    async def job():
        await asyncio.gather(*(breaker.record_rate_limit_error() for _ in range(5)))

    def run():
        try:
            for _ in range(3):
                asyncio.run(job())
        except BaseException as error:  # noqa: BLE001 - whatever it is, the test must hear of it
            failed.append(error)

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert asyncio.run(breaker.status()).rate_limit_errors == 8 * 3 * 5


LATE = """
    import asyncio, sys, threading, time
    from breaker import AsyncBreaker

    class Limited(Exception):
        status_code = 429

    async def job():
        breaker = AsyncBreaker({name!r}, url={url!r}, push=False, threshold=1)
        await breaker.is_paused()
        while threading.main_thread().is_alive():
            await asyncio.sleep(0.01)
        async with breaker.guard():
            raise Limited

    def work():
        try:
            asyncio.run(job())
        except BaseException as error:
            print(type(error).__name__, flush=True)

    threading.Thread(target=work).start()
"""


def test_a_loop_that_outlives_the_interpreter_has_its_jobs_own_error(url, name):
    code = textwrap.dedent(LATE.format(name=name, url=url))
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=50
    )
    assert done.stdout.split() == ["Limited"], done.stderr


def test_dropping_connections_leaves_those_in_use(url):
    pool = Pool(Target.of_url(url))
    set_deadline(math.inf)
    generation, in_use = pool._take()
    in_use.connect()
    pool._put(generation, idle := pool._client.connection_pool.make_connection())
    idle.connect()
    pool.drop()
    assert not idle.is_connected
    assert in_use.is_connected
    pool._put(generation, in_use)
    assert not in_use.is_connected
    assert pool._idle == []
