"""A store that fails in any way holds no job: what hangs is left, and known to the next one."""

import asyncio
import contextlib
import socket
import threading

import pytest

from breaker import AsyncBreaker, Breaker
from tests.faults.test_crowds import in_threads
from tests.servers import HOST

CROWD = 40
# How many of them may send before the first one has met the time-out.
FEW = 2
# How long what hangs would go on if nobody left it, in seconds.
HANGS = 20


def test_threads_on_a_frozen_store_learn_from_the_first(proxy, name):
    with Breaker(name, url=proxy.url, push=False) as breaker:
        breaker.record_success()
        proxy.freeze()
        in_threads(CROWD, breaker.is_paused)
        assert breaker._store._outage.number == 1
        assert 0 < proxy.held(b"EVALSHA") <= FEW


async def test_tasks_on_a_frozen_store_learn_from_the_first(proxy, name):
    async with AsyncBreaker(name, url=proxy.url, push=False) as breaker:
        await breaker.record_success()
        proxy.freeze()
        await asyncio.gather(*(breaker.is_paused() for _ in range(CROWD)))
        assert breaker._store._outage.number == 1
        assert 0 < proxy.held(b"EVALSHA") <= FEW


class Odd:
    """A server that accepts, and then answers in an odd way until it is let go."""

    def __init__(self, answer):
        self._answer = answer
        self._listener = socket.create_server((HOST, 0))
        self.port = self._listener.getsockname()[1]
        self.let_go = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                one, _ = self._listener.accept()
                threading.Thread(target=self._talk, args=(one,), daemon=True).start()

    def _talk(self, one):
        with one, contextlib.suppress(OSError):
            self._answer(one, self.let_go)

    def close(self):
        self.let_go.set()
        self._listener.close()


def says_nothing(_, let_go):
    let_go.wait(HANGS)


def drips(one, let_go):
    """An answer without an end, a byte now and then."""
    one.recv(1)
    one.sendall(b"$9999\r\n")
    while not let_go.wait(0.05):
        one.sendall(b"x")


@pytest.fixture(params=[("redis", says_nothing), ("redis", drips), ("rediss", says_nothing)])
def odd_url(request):
    scheme, answer = request.param
    server = Odd(answer)
    yield f"{scheme}://{HOST}:{server.port}/0", server.let_go
    assert not server.let_go.is_set()
    server.close()


def test_a_reply_that_never_ends_is_left(face, odd_url, name):
    url, let_go = odd_url
    breaker = face.breaker(name, url=url)
    assert breaker.is_paused() is False
    assert not let_go.is_set()
    assert breaker.inner._store._outage.is_on


@pytest.fixture
def hung_resolver(monkeypatch):
    let_go = threading.Event()
    real = socket.getaddrinfo

    def getaddrinfo(host, *args, **given):
        if host == "store.test":
            let_go.wait(HANGS)
            raise socket.gaierror(-3, "Temporary failure in name resolution")
        return real(host, *args, **given)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    yield let_go
    let_go.set()


def test_a_name_service_that_hangs_is_left(face, hung_resolver, name):
    breaker = face.breaker(name, url="redis://store.test:1/0")
    assert breaker.is_paused() is False
    assert not hung_resolver.is_set()


def test_one_thread_at_most_hangs_in_it(hung_resolver, name):
    with Breaker(name, url="redis://store.test:1/0", push=False) as breaker:
        for _ in range(5):
            breaker._store._outage._ask_again = 0.0  # time goes by
            breaker.is_paused()
        hanging = [one for one in threading.enumerate() if one.name == "breaker-connect"]
        assert len(hanging) == 1
        hung_resolver.set()
        hanging[0].join(timeout=20)
