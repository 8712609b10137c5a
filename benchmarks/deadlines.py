"""How long a guarded job waits for a store that fails, in each way of failing."""

import asyncio
import contextlib
import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import redis

from benchmarks.figures import Figure, Target, percentile_of
from breaker import AsyncBreaker, Breaker

NAME = "deadlines"
# No job waits longer than this for the store, in milliseconds.
LIMIT = Target(300.0)
# How many jobs of a process meet the failure at once, and how often.
JOBS = 20
ROUNDS = 5
# Seconds after which a failing server gives up a connection, should a client not do so before.
PATIENCE = 20.0

# How many connections fill the backlog of a listener that accepts none.
FILLERS = 4
# Each round of the name service is another store, for an outage is known to the whole process.
_numbers = itertools.count()

Talk = Callable[[socket.socket, threading.Event], None]


def measure(url: str) -> Iterator[Figure]:
    """Yield the longest waits of blocking and of awaited jobs, for each way of failing."""
    for way in WAYS:
        for kind, run in (("sync", _blocking), ("async", _awaited)):
            waits: list[float] = []
            for round_ in range(ROUNDS):
                with way.store(url) as failing:
                    waits += run(failing, f"{NAME}-{way.name}-{kind}-{round_}")
            what = f"{way.name}, {kind}"
            for share in (0.5, 0.99):
                yield percentile_of(
                    NAME, f"{what}: p{share * 100:.0f}", "ms", waits, share=share
                )
            yield percentile_of(NAME, f"{what}: longest", "ms", waits, share=1.0, target=LIMIT)


def _blocking(url: str, name: str) -> list[float]:
    waits: list[float] = []
    with contextlib.closing(Breaker(name, url=url, push=False)) as breaker:

        def job() -> None:
            began = time.monotonic()
            with breaker.guard():
                waits.append((time.monotonic() - began) * 1000)

        threads = [threading.Thread(target=job) for _ in range(JOBS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return waits


def _awaited(url: str, name: str) -> list[float]:
    async def job(breaker: AsyncBreaker) -> float:
        began = time.monotonic()
        async with breaker.guard():
            return (time.monotonic() - began) * 1000

    async def run() -> list[float]:
        breaker = AsyncBreaker(name, url=url, push=False)
        try:
            return await asyncio.gather(*(job(breaker) for _ in range(JOBS)))
        finally:
            await breaker.close()

    return asyncio.run(run())


@dataclass(frozen=True)
class Way:
    """A way of failing."""

    name: str
    store: Callable[[str], contextlib.AbstractContextManager[str]]


@contextlib.contextmanager
def _refused(_: str) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    yield f"redis://127.0.0.1:{port}/0"


@contextlib.contextmanager
def _full_backlog(_: str) -> Iterator[str]:
    """Packets are dropped: no connection is made, and none is refused."""
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        for _filler in range(FILLERS):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        yield f"redis://127.0.0.1:{port}/0"


def _answering(
    talk: Talk, scheme: str
) -> Callable[[str], contextlib.AbstractContextManager[str]]:
    @contextlib.contextmanager
    def serve(_: str) -> Iterator[str]:
        let_go = threading.Event()

        def talk_to(one: socket.socket) -> None:
            with one, contextlib.suppress(OSError):
                talk(one, let_go)

        def accept(listener: socket.socket) -> None:
            with contextlib.suppress(OSError):
                while True:
                    one, _ = listener.accept()
                    threading.Thread(target=talk_to, args=(one,), daemon=True).start()

        with socket.create_server(("127.0.0.1", 0)) as listener:
            threading.Thread(target=accept, args=(listener,), daemon=True).start()
            yield f"{scheme}://127.0.0.1:{listener.getsockname()[1]}/0"
            let_go.set()

    return serve


def _is_silent(_: socket.socket, let_go: threading.Event) -> None:
    let_go.wait(PATIENCE)


def _drips(one: socket.socket, let_go: threading.Event) -> None:
    one.recv(1)
    one.sendall(b"$9999\r\n")
    while not let_go.wait(0.05):
        one.sendall(b"x")


@contextlib.contextmanager
def _hung_resolver(_: str) -> Iterator[str]:
    let_go, real = threading.Event(), socket.getaddrinfo

    def hang(host: str, *args: int, **given: int) -> object:
        if host != "store.test":
            return real(host, *args, **given)
        let_go.wait(PATIENCE)
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    socket.getaddrinfo = hang  # type: ignore[assignment] # stands in for a name service
    try:
        yield f"redis://store.test:1/{next(_numbers)}"
    finally:
        let_go.set()
        socket.getaddrinfo = real


@contextlib.contextmanager
def _out_of_connections(url: str) -> Iterator[str]:
    with redis.Redis.from_url(url) as client:
        before = client.config_get("maxclients")["maxclients"]
        client.config_set("maxclients", "1")
        try:
            yield url
        finally:
            client.config_set("maxclients", before)


WAYS = (
    Way("refused", _refused),
    Way("black hole", _full_backlog),
    Way("frozen", _answering(_is_silent, "redis")),
    Way("slow drip", _answering(_drips, "redis")),
    Way("name service", _hung_resolver),
    Way("TLS handshake", _answering(_is_silent, "rediss")),
    Way("server full", _out_of_connections),
)
