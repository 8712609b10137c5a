"""The upstream as a real HTTP server, which limits as a Shape says and remembers every call.

    GET  /call?tokens=N   the work: 200 after a while, or 429 at once, with Retry-After
    POST /start           now is second 0: a fresh limiter, an empty log
    GET  /log             every call since then: [second, tokens, admitted], as JSON

It shares a few processors with the fleet it limits, so it parses no more of HTTP than that.
"""

import asyncio
import json
import signal
from multiprocessing.connection import Connection
from urllib.parse import parse_qs, urlsplit

from benchmarks.crew import now
from benchmarks.recovery.shapes import WORK, shape_named
from benchmarks.recovery.upstreams import Limiter, Shape

HOST = "127.0.0.1"
END = b"\r\n\r\n"
REASONS = {200: "OK", 404: "Not Found", 429: "Too Many Requests"}


class Upstream:
    """The limiter, its clock, and what it was asked."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self.start()

    def start(self) -> None:
        """Begin the run."""
        self._limiter: Limiter = self._shape.limiter()
        self.log: list[tuple[float, float, bool]] = []
        self._began = now()

    def admit(self, tokens: float) -> tuple[bool, float | None]:
        """Whether a call is let through, and the hint if it is not."""
        at = now() - self._began
        wait = self._limiter.take(at, tokens)
        self.log.append((round(at, 4), tokens, not wait))
        return not wait, self._shape.hint(wait) if wait else None

    def finish(self) -> None:
        """A call has been answered."""
        self._limiter.finish(now() - self._began)


class Session(asyncio.Protocol):
    """One kept-alive connection."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._unread = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep it to answer on."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - TCP's is; narrows the type
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each request that is complete; none has a body."""
        self._unread += data
        while END in self._unread:
            head, _, self._unread = self._unread.partition(END)
            method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ", 2)
            self._route(method, target)

    def _route(self, method: str, target: str) -> None:
        parts = urlsplit(target)
        match method, parts.path:
            case "GET", "/call":
                self._call(float(parse_qs(parts.query)["tokens"][0]))
            case "POST", "/start":
                self._upstream.start()
                self._answer(200)
            case "GET", "/log":
                self._answer(200, json.dumps(self._upstream.log).encode())
            case _:
                self._answer(404)

    def _call(self, tokens: float) -> None:
        is_admitted, hint = self._upstream.admit(tokens)
        if is_admitted:
            asyncio.get_running_loop().call_later(WORK, self._done)
        else:
            self._answer(429, more="" if hint is None else f"Retry-After: {hint:.6g}\r\n")

    def _done(self) -> None:
        self._upstream.finish()
        self._answer(200)

    def _answer(self, status: int, body: bytes = b"", more: str = "") -> None:
        head = (
            f"HTTP/1.1 {status} {REASONS[status]}\r\nContent-Length: {len(body)}\r\n{more}\r\n"
        )
        self._transport.write(head.encode() + body)


def serve(connection: Connection, _: int, name: str, rate: float, duration: float) -> None:
    """Be a member of a crew: tell the port when asked, serve until the connection ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends it, once it has the log
    asyncio.run(_serve(connection, Upstream(shape_named(name, rate, duration))))


async def _serve(connection: Connection, upstream: Upstream) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    server = await loop.create_server(lambda: Session(upstream), HOST, 0, backlog=256)
    port = server.sockets[0].getsockname()[1]

    def hear() -> None:
        try:
            connection.recv()
            connection.send(port)
        except (EOFError, OSError):
            loop.remove_reader(connection.fileno())
            ended.set()

    loop.add_reader(connection.fileno(), hear)
    await ended.wait()
