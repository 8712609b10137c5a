"""A store that is further away: a forwarder, in a process of its own, that delays each reply."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from urllib.parse import urlsplit

from benchmarks.crew import PATIENCE, SPAWN

HOST = "127.0.0.1"
CHUNK = 1 << 16


@contextmanager
def far(url: str, seconds: float) -> Iterator[str]:
    """The URL of the same store with a round trip that takes so much longer."""
    here, there = SPAWN.Pipe()
    process = SPAWN.Process(target=_forward, args=(there, url, seconds), daemon=True)
    process.start()
    there.close()
    try:
        if not here.poll(PATIENCE):
            message = "the forwarder of the benchmark did not start"
            raise TimeoutError(message)
        yield urlsplit(url)._replace(netloc=f"{HOST}:{here.recv()}").geturl()
    finally:
        here.close()
        process.join(PATIENCE)


def _forward(parent: Connection, url: str, seconds: float) -> None:
    """Forward until the parent closes its end of the pipe, or is no more."""
    asyncio.run(_serve(parent, url, seconds))


async def _serve(parent: Connection, url: str, seconds: float) -> None:
    parts = urlsplit(url)

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, here = await asyncio.open_connection(parts.hostname, parts.port)
        # A connection that is reset ends both ways.
        both = (_pass(reader, here, 0.0), _pass(there, writer, seconds))
        await asyncio.gather(*both, return_exceptions=True)

    server = await asyncio.start_server(connect, HOST, 0)
    parent.send(server.sockets[0].getsockname()[1])
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(parent.fileno(), ended.set)
    await ended.wait()


async def _pass(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float
) -> None:
    """Hand on what comes, each piece so much later; the pieces do not wait for each other."""
    loop = asyncio.get_running_loop()
    while data := await reader.read(CHUNK):
        loop.call_later(seconds, writer.write, data)
    loop.call_later(seconds, writer.close)
