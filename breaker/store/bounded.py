"""Blocking connections that keep to a deadline, whatever the other end does.

A time-out of redis-py is one per read: a reply that drips byte by byte takes as long as it likes.
The name service has no time-out at all. Here every wait ends at the deadline of the thread.
"""

import ipaddress
import socket
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any

import redis

from breaker import forking

# Seconds by which a thread on a busy machine may come late to its own deadline.
LAG = 0.05
# Seconds in which it then takes what has arrived meanwhile.
MOMENT = 0.005
# Seconds that any wait may take, whatever the deadline.
LONGEST = 60.0

_thread = threading.local()
# By host: the thread that still hangs in the name service or in a handshake after its deadline.
_hung: dict[str, threading.Thread] = {}


def set_deadline(at: float) -> None:
    """From here on this thread waits for the store until this moment, in monotonic seconds."""
    _thread.deadline = at


def _left() -> float:
    """Seconds until the deadline; a moment after it, for a thread that was itself held up.

    Raises:
        TimeoutError: it is over.
    """
    left: float = min(LONGEST, _thread.deadline - time.monotonic())
    if left < -LAG:
        raise TimeoutError("the store took too long")
    return max(left, MOMENT)


class _Socket:
    """A socket whose waits end at the deadline."""

    def __init__(self, inner: socket.socket) -> None:
        self._inner = inner

    def recv(self, *args: Any) -> bytes:
        self._inner.settimeout(_left())
        return self._inner.recv(*args)

    def recv_into(self, *args: Any) -> int:
        self._inner.settimeout(_left())
        return self._inner.recv_into(*args)

    def sendall(self, *args: Any) -> None:
        self._inner.settimeout(_left())
        self._inner.sendall(*args)

    def settimeout(self, _seconds: float | None) -> None:
        """The deadline decides."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def _connected(connection: Any, connect: Callable[[], socket.socket], *, hangs: bool) -> Any:
    connection.socket_connect_timeout = _left()
    host = getattr(connection, "host", "")
    if hangs or not _is_address(host):
        return _Socket(_in_time(host, connect))
    return _Socket(connect())


class Connection(redis.connection.Connection):
    """TCP."""

    def _connect(self) -> Any:
        return _connected(self, super()._connect, hangs=False)


class SSLConnection(redis.connection.SSLConnection):
    """TCP with TLS, whose handshake has a time-out for each read."""

    def _connect(self) -> Any:
        return _connected(self, super()._connect, hangs=True)


class UnixDomainSocketConnection(redis.connection.UnixDomainSocketConnection):
    """A socket in the file system."""

    def _connect(self) -> Any:
        return _connected(self, super()._connect, hangs=False)


def _is_address(host: str) -> bool:
    """Whether it needs no name service."""
    try:
        ipaddress.ip_address(host or "127.0.0.1")
    except ValueError:
        return False
    return True


def _in_time(host: str, connect: Callable[[], socket.socket]) -> socket.socket:
    """Connect in a thread of its own, since nothing can interrupt it.

    Raises:
        TimeoutError: it hangs; once it ends, what it has connected is closed.
    """
    left = _left()
    hung = _hung.get(host)
    if hung is not None and hung.is_alive():
        raise TimeoutError(f"the name service or a handshake still hangs for {host}")
    answers: SimpleQueue[socket.socket | OSError] = SimpleQueue()
    is_late = threading.Event()

    def run() -> None:
        try:
            answers.put(connect())
        except OSError as error:
            answers.put(error)
        if is_late.is_set():
            _close(answers)

    thread = threading.Thread(target=run, name="breaker-connect", daemon=True)
    thread.start()
    try:
        answer = answers.get(timeout=left)
    except Empty:
        _hung[host] = thread
        is_late.set()
        _close(answers)
        raise TimeoutError(f"the name service or a handshake hangs for {host}") from None
    if isinstance(answer, OSError):
        raise answer
    return answer


def _close(answers: "SimpleQueue[socket.socket | OSError]") -> None:
    try:
        answer = answers.get_nowait()
    except Empty:
        return
    if not isinstance(answer, OSError):
        answer.close()


forking.in_child(_hung.clear)
