"""Connections of our own to a store.

We take the connection data from a user's client, never the client itself: by its configuration it
may re-send a lost command up to ten times, or hang for a minute (redis-py 8). Ours waits a quarter
of a second in all. If the connection broke, it re-sends once over a fresh one, which the scripts'
tokens make safe; after a time-out it does not re-send, for that would double the wait.
"""

import contextlib
from typing import Any

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from breaker.store import bounded
from breaker.store.target import Target

# Seconds that a command may take, its connection included.
TIMEOUT = 0.25
# What the server's CLIENT LIST calls them.
CLIENT_NAME = "breaker-commands"

_PLAIN = {
    "tcp": redis.connection.Connection,
    "tls": redis.connection.SSLConnection,
    "unix": redis.connection.UnixDomainSocketConnection,
}
_BOUNDED = {
    "tcp": bounded.Connection,
    "tls": bounded.SSLConnection,
    "unix": bounded.UnixDomainSocketConnection,
}
_AWAITED = {
    "tcp": redis.asyncio.connection.Connection,
    "tls": redis.asyncio.connection.SSLConnection,
    "unix": redis.asyncio.connection.UnixDomainSocketConnection,
}


def open_bounded(target: Target) -> redis.Redis:
    """Make a client whose connections keep to the deadline of their thread."""
    pool = redis.connection.ConnectionPool(
        connection_class=_BOUNDED[target.kind],
        retry=Retry(NoBackoff(), 0),
        redis_connect_func=_greet,
        **_options(target),
    )
    return redis.Redis(connection_pool=pool)


def open_sync(target: Target, timeout: float = TIMEOUT) -> redis.Redis:
    """Make a client with our own time-outs and one retry, for callers of redis-py's commands."""
    pool = redis.connection.ConnectionPool(
        connection_class=_PLAIN[target.kind],
        retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
        redis_connect_func=_introduce,
        **_options(target, timeout),
    )
    return redis.Redis(connection_pool=pool)


def open_cluster(target: Target) -> redis.RedisCluster:
    """Make a client of a cluster, for callers of redis-py's commands."""
    assert target.peers is not None  # noqa: S101 - that is what makes it a cluster
    options = {name: value for name, value in _options(target).items() if name != "db"}
    return redis.RedisCluster(
        startup_nodes=[redis.cluster.ClusterNode(*one) for one in target.peers.addresses],
        address_remap=target.peers.remap,
        ssl=target.kind == "tls",
        **options,
    )


def open_connection(target: Target, *, protocol: int) -> redis.connection.Connection:
    """Make a connection that belongs to no pool and repeats nothing."""
    data = _options(target) | {
        "protocol": protocol,
        "retry": Retry(NoBackoff(), 0),
        "redis_connect_func": _introduce,
    }
    connection: redis.connection.Connection = _PLAIN[target.kind](**data)
    return connection


def open_async(target: Target) -> "redis.asyncio.Redis":
    """Make a client for the running event loop; deadlines are set around its calls."""
    options = _options(target) | {"socket_timeout": None}
    pool = redis.asyncio.connection.ConnectionPool(
        connection_class=_AWAITED[target.kind],
        retry=AsyncRetry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
        redis_connect_func=_greet_async,
        **options,
    )
    return redis.asyncio.Redis(connection_pool=pool)


def _options(target: Target, timeout: float = TIMEOUT) -> dict[str, Any]:
    """Our own time-outs over the user's connection data; RESP2, which needs no handshake."""
    options: dict[str, Any] = {
        "socket_timeout": timeout,
        "health_check_interval": 0,
        "protocol": 2,
    }
    if target.kind != "unix":
        options["socket_connect_timeout"] = timeout
    return dict(target.data) | options


def _say_little(connection: Any) -> None:
    """Leave out what redis-py asks on connecting: each is a round trip that a job waits for."""
    connection.driver_info = connection.lib_name = connection.lib_version = None
    connection.maint_notifications_config = None


def _is_named(connection: Any) -> bool:
    return bool(connection.client_name)


def _introduce(connection: Any) -> None:
    _say_little(connection)
    connection.on_connect()


def _greet(connection: Any) -> None:
    """Connect, and say whose connection it is, without waiting for the answer.

    It is read before the next reply. A user without leave for CLIENT has no connection named.
    """
    _say_little(connection)
    connection.unread = 0
    connection.on_connect()
    if not _is_named(connection):
        connection.send_command("CLIENT", "SETNAME", CLIENT_NAME)
        connection.unread = 1


async def _greet_async(connection: Any) -> None:
    _say_little(connection)
    await connection.on_connect()
    if not _is_named(connection):
        await connection.send_command("CLIENT", "SETNAME", CLIENT_NAME)
        with contextlib.suppress(redis.ResponseError):
            await connection.read_response()
