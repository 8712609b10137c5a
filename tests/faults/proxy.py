"""A TCP proxy before one server: it loses replies, freezes, refuses, cuts and delays on demand."""

import contextlib
import select
import socket
import struct
import threading
import time
from typing import Self
from urllib.parse import urlsplit

from tests.servers import HOST, free_port

TICK = 0.01
CHUNK = 1 << 20
RESET = struct.pack("ii", 1, 0)


class Proxy:
    """Stands between its `url` and a server. Its methods hold from the moment they return."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._server = (parts.hostname or HOST, parts.port or 6379)
        self._port = free_port()
        user, at, _ = parts.netloc.rpartition("@")
        self.url = parts._replace(netloc=f"{user}{at}{HOST}:{self._port}").geturl()
        self.delay = 0.0
        self.lost = 0
        self._is_frozen = self._is_stopped = False
        self._drops: list[tuple[bytes, str]] = []
        self._peers: dict[socket.socket, socket.socket] = {}  # each end -> the other one
        self._clients: set[socket.socket] = set()
        self._losing: dict[socket.socket, str] = {}  # the server's end -> how its reply is lost
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self.accept()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_stopped = True
        self._thread.join()
        self.refuse()
        self.kill_all()

    def drop_reply(self, request: bytes, times: int = 1, how: str = "reset") -> None:
        """Lose the replies to the next `count` requests with these bytes, after they were executed.

        Afterwards the connection is "reset", or stays open and "silent".
        """
        with self._lock:
            self._drops += [(request, how)] * times

    def freeze(self) -> None:
        """Pass nothing on in either direction, without closing: a half-open connection."""
        with self._lock:
            self._is_frozen = True

    def thaw(self) -> None:
        """Pass on what was held back, then everything."""
        with self._lock:
            self._is_frozen = False

    def holds(self, request: bytes) -> bool:
        """Whether such a request has come and was not passed on."""
        return self.held(request) > 0

    def held(self, request: bytes) -> int:
        """How many such requests have come and were not passed on."""
        count = 0
        with self._lock:
            for client in self._clients:
                with contextlib.suppress(BlockingIOError):
                    got = client.recv(CHUNK, socket.MSG_PEEK | socket.MSG_DONTWAIT)
                    count += got.count(request)
        return count

    def refuse(self) -> None:
        """Let no new connection in."""
        with self._lock:
            self._listener.close()

    def accept(self) -> None:
        with self._lock:
            self._listener = socket.create_server((HOST, self._port))

    def kill_all(self) -> None:
        """Reset every connection."""
        with self._lock:
            for client in tuple(self._clients):
                self._close(client, reset=True)

    def _open(self) -> None:
        with contextlib.ExitStack() as stack:
            client = stack.enter_context(self._listener.accept()[0])
            upstream = stack.enter_context(socket.create_connection(self._server))
            self._peers |= {client: upstream, upstream: client}
            self._clients.add(client)
            stack.pop_all()

    def _close(self, end: socket.socket, *, reset: bool) -> None:
        for one in (end, self._peers[end]):
            if reset:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            one.close()
            self._clients.discard(one)
            self._losing.pop(one, None)
            del self._peers[one]

    def _run(self) -> None:
        while not self._is_stopped:
            with self._lock:
                ends = [] if self._is_frozen else [self._listener, *self._peers]
            ready: list[socket.socket] = []
            with contextlib.suppress(OSError, ValueError):  # closed by another thread
                ready = select.select([end for end in ends if end.fileno() >= 0], [], [], TICK)[
                    0
                ]
            for end in ready:
                with self._lock:
                    if not self._is_frozen:
                        self._serve(end)
            if not ends:
                time.sleep(TICK)

    def _serve(self, end: socket.socket) -> None:
        if end is self._listener:
            with contextlib.suppress(OSError):  # the server is down, or closed meanwhile
                self._open()
        elif end in self._peers:
            with contextlib.suppress(OSError):
                got = end.recv(CHUNK)
                time.sleep(self.delay)
                if got and self._pass_on(got, end):
                    return
            self._close(end, reset=end in self._losing)

    def _pass_on(self, got: bytes, end: socket.socket) -> bool:
        peer = self._peers[end]
        if end in self._losing:
            self.lost += 1
            return self._losing[end] == "silent"
        for drop in [drop for drop in self._drops if end in self._clients and drop[0] in got][
            :1
        ]:
            self._drops.remove(drop)
            self._losing[peer] = drop[1]
        peer.sendall(got)
        return True
