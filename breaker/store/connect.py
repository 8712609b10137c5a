"""Clients of our own for a store.

We take the connection data from a user's client, never the client itself: by its configuration it
may re-send a lost command up to ten times, or hang for a minute (redis-py 8). Ours waits a quarter
of a second. If the connection broke, it re-sends once over a fresh one, which the scripts' tokens
make safe; after a time-out it does not re-send, for that would double the wait. A process
holds at most two connections for commands, whatever the number of its breakers.
"""

import asyncio
import threading
from dataclasses import dataclass
from typing import Any

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from breaker import forking
from breaker.store.target import Target

# Seconds that one read or one connect may take.
TIMEOUT = 0.25
# How many connections for commands a process has.
CONNECTIONS = 2
# Seconds that a thread waits for one of them.
PATIENCE = 2.0
_BROKEN = (redis.ConnectionError,)
_SYNC = {
    "tcp": redis.connection.Connection,
    "tls": redis.connection.SSLConnection,
    "unix": redis.connection.UnixDomainSocketConnection,
}

_lent: dict[str, tuple[redis.Redis, int]] = {}
_lock = threading.Lock()


def lend(target: Target) -> redis.Redis:
    """This process's client for a store, shared by all who ask for it."""
    with _lock:
        client, users = _lent.get(target.identity, (None, 0))
        client = client or open_sync(target)
        _lent[target.identity] = (client, users + 1)
    return client


def give_back(target: Target) -> None:
    """The last one to give the client back closes its connections."""
    with _lock:
        client, users = _lent.pop(target.identity)
        if users > 1:
            _lent[target.identity] = (client, users - 1)
            return
    client.close()
    client.connection_pool.disconnect()


@dataclass
class Shared:
    """One event loop's client for one store, and who uses it."""

    client: "redis.asyncio.Redis"
    turns: asyncio.Semaphore
    users: set[object]


_lent_async: dict[tuple[asyncio.AbstractEventLoop, str], Shared] = {}


def lend_async(target: Target) -> Shared:
    """The running loop's client for a store, shared by all who ask for it."""
    key = (asyncio.get_running_loop(), target.identity)
    if key not in _lent_async:
        for old in [known for known in _lent_async if known[0].is_closed()]:
            del _lent_async[old]
        turns = asyncio.Semaphore(CONNECTIONS)
        _lent_async[key] = Shared(open_async(target), turns, set())
    return _lent_async[key]


async def give_back_async(target: Target) -> None:
    """Close the running loop's connections to a store."""
    shared = _lent_async.pop((asyncio.get_running_loop(), target.identity))
    await shared.client.aclose()
    await shared.client.connection_pool.disconnect()


def open_connection(target: Target, *, protocol: int) -> redis.connection.Connection:
    """Make a connection that belongs to no pool and repeats nothing."""
    data = _timeouts(target) | {"protocol": protocol, "retry": Retry(NoBackoff(), 0)}
    connection: redis.connection.Connection = _SYNC[target.kind](**data)
    return connection


@forking.in_child
def _after_fork() -> None:
    global _lock  # noqa: PLW0603 - another thread may have held it at the fork
    _lock = threading.Lock()


def open_sync(target: Target) -> redis.Redis:
    """Make a client with our own time-outs, retries and pool."""
    pool = redis.connection.BlockingConnectionPool(
        connection_class=_SYNC[target.kind],
        max_connections=CONNECTIONS,
        timeout=PATIENCE,
        retry=Retry(NoBackoff(), 1, supported_errors=_BROKEN),
        **_timeouts(target),
    )
    return redis.Redis(connection_pool=pool)


def open_async(target: Target) -> "redis.asyncio.Redis":
    """The same for asyncio; the client belongs to the running loop."""
    classes = {
        "tcp": redis.asyncio.connection.Connection,
        "tls": redis.asyncio.connection.SSLConnection,
        "unix": redis.asyncio.connection.UnixDomainSocketConnection,
    }
    pool = redis.asyncio.connection.BlockingConnectionPool(
        connection_class=classes[target.kind],
        max_connections=CONNECTIONS,
        timeout=TIMEOUT,
        retry=AsyncRetry(NoBackoff(), 1, supported_errors=_BROKEN),
        **_timeouts(target),
    )
    return redis.asyncio.Redis(connection_pool=pool)


def _timeouts(target: Target) -> dict[str, Any]:
    timeouts: dict[str, Any] = {"socket_timeout": TIMEOUT, "health_check_interval": 0}
    if target.kind != "unix":
        timeouts["socket_connect_timeout"] = TIMEOUT
    return dict(target.data) | timeouts
