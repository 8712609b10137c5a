"""Where the store is, and clients of our own for it.

A user's client is never used as it is, only its connection data: depending on how it was made it
re-sends a lost command ten times or never and hangs for a minute (redis-py 8). Ours waits a
quarter of a second, and re-sends once over a fresh connection if the old one broke, which the
scripts' tokens make safe; after a time-out it does not, for that would double the wait. A process
holds at most two connections for commands, whatever the number of its breakers.
"""

import asyncio
import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self
from urllib.parse import urlsplit

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.retry import Retry

from breaker.errors import ConfigurationError, StoreError, StoreRefused, StoreUnavailable

DEFAULT_URL = "redis://localhost:6379/0"
TIMEOUT = 0.25
CONNECTIONS = 2
# Seconds that a thread waits for one of them.
PATIENCE = 2.0
SCHEMES = ("redis://", "rediss://", "unix://")

_KEPT = frozenset(
    [
        "host",
        "port",
        "path",
        "db",
        "username",
        "password",
        "credential_provider",
        "protocol",
        "client_name",
        "socket_keepalive",
        "socket_keepalive_options",
        "socket_type",
    ]
)
_OUTAGES = (
    "LOADING",
    "READONLY",
    "OOM ",
    "MISCONF",
    "NOREPLICAS",
    "MASTERDOWN",
    "BUSY ",
    "CLUSTERDOWN",
    "TRYAGAIN",
    "max number of clients",
    "maxmemory",
)
_BROKEN = (redis.ConnectionError,)
_SYNC = {
    "tcp": redis.connection.Connection,
    "tls": redis.connection.SSLConnection,
    "unix": redis.connection.UnixDomainSocketConnection,
}
# Redis-py takes the code out of the text of those it has a class for.
_PASSING = (
    redis.ConnectionError,
    redis.TimeoutError,
    redis.exceptions.ReadOnlyError,
    redis.exceptions.ClusterDownError,
    redis.exceptions.MasterDownError,
    redis.exceptions.TryAgainError,
    redis.exceptions.OutOfMemoryError,
    OSError,
)
_ONLY_READS = ("READONLY", "OOM ", "maxmemory", "MISCONF", "NOREPLICAS")
WRITES = ("SADD", "SET")
_REFUSALS = ("AUTH", "WRONGPASS", "NOPERM", "NOAUTH", "SSL", "certificate", "invalid username")

Subscriber = redis.client.PubSub
Kind = Literal["tcp", "tls", "unix"]


@dataclass(frozen=True)
class Target:
    """Where the store is: everything needed to connect to it, and nothing else."""

    kind: Kind
    data: tuple[tuple[str, Any], ...]

    @classmethod
    def of_url(cls, url: str) -> Self:
        """Read a URL.

        Raises:
            ConfigurationError: it is none, with what is allowed.
        """
        problems = list(url_problems(url))
        if problems:
            raise ConfigurationError(problems)
        parsed: Mapping[str, Any] = parse_url(url)
        scheme = urlsplit(url).scheme
        kind: Kind = "unix" if scheme == "unix" else "tls" if scheme == "rediss" else "tcp"
        return cls._of(kind, parsed)

    @classmethod
    def of_client(cls, client: Any) -> Self:
        """Take the connection data out of a redis-py client, sync or async.

        Raises:
            ConfigurationError: it is not a client of a single server.
        """
        pool = getattr(client, "connection_pool", None)
        if (
            pool is None
            or not hasattr(pool, "connection_kwargs")
            or hasattr(pool, "service_name")
        ):
            kind = type(client).__name__
            raise ConfigurationError(
                [f"redis must be a redis.Redis client of one server, not {kind}; or give a url"]
            )
        made_by = pool.connection_class.__name__
        kind_: Kind = "unix" if "Unix" in made_by else "tls" if "SSL" in made_by else "tcp"
        return cls._of(kind_, pool.connection_kwargs)

    @classmethod
    def _of(cls, kind: Kind, given: Mapping[str, Any]) -> Self:
        kept = {k: v for k, v in given.items() if k in _KEPT or k.startswith("ssl_")}
        return cls(kind, tuple(sorted(kept.items())))

    @property
    def identity(self) -> str:
        """The same for two targets that need no two connections."""
        return repr((self.kind, self.data))

    @property
    def database(self) -> int:
        """The database's number."""
        return int(dict(self.data).get("db") or 0)

    def __str__(self) -> str:
        """Where it is, without the password."""
        data = dict(self.data)
        if self.kind == "unix":
            return f"unix://{data.get('path')}?db={self.database}"
        scheme = "rediss" if self.kind == "tls" else "redis"
        where = f"{data.get('host', 'localhost')}:{data.get('port', 6379)}"
        return f"{scheme}://{where}/{self.database}"


def url_problems(url: object) -> Iterator[str]:
    """Yield what is wrong with a store's URL, one line each."""
    expected = "it must look like redis://[user:password@]host[:port][/database]"
    if not isinstance(url, str) or not url.startswith(SCHEMES):
        shown = without_password(url) if isinstance(url, str) else repr(url)
        yield f"the store's URL {shown!r} is none: {expected}, rediss:// for TLS, or unix://path"
        return
    try:
        parts = urlsplit(url)
        _ = parts.port
        parse_url(url)
    except ValueError as error:
        yield f"the store's URL {without_password(url)!r} does not parse ({error}): {expected}"
        return
    database = parts.path.strip("/")
    if parts.scheme != "unix" and database and not database.isdecimal():
        yield f"the database in {without_password(url)!r} must be a number, not {database!r}"


def without_password(url: str) -> str:
    """A URL that can be shown."""
    head, at, tail = url.rpartition("@")
    scheme, slashes, user = head.partition("://")
    return f"{scheme}{slashes}{user.partition(':')[0]}:***@{tail}" if at else url


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


def open_subscriber(target: Target) -> redis.Redis:
    """Make a client for one subscription: RESP2, where a PONG comes like a message."""
    data = _timeouts(target) | {"protocol": 2, "retry": Retry(NoBackoff(), 0)}
    pool = redis.connection.ConnectionPool(
        connection_class=_SYNC[target.kind], max_connections=1, **data
    )
    return redis.Redis(connection_pool=pool)


def _after_fork_in_child() -> None:
    global _lock  # noqa: PLW0603 - another thread may have held it at the fork
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


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


def is_store_error(error: Exception) -> bool:
    """Whether it is the store's, and not a fault of ours."""
    return isinstance(error, redis.RedisError | OSError | StoreError)


def only_reads(error: Exception) -> bool:
    """Whether the store is there, but takes no writes for now."""
    kinds = redis.exceptions.ReadOnlyError | redis.exceptions.OutOfMemoryError
    return isinstance(error, kinds) or any(code in str(error) for code in _ONLY_READS)


def translate(error: Exception, target: Target) -> StoreError:
    """Tell an outage, which may pass, from a configuration error, which will not.

    Redis 6.2 wraps an error inside a script, so that its code stands only in the text.
    """
    text = str(error)
    refused = isinstance(
        error, redis.AuthenticationError | redis.exceptions.AuthorizationError
    ) or any(sign in text for sign in _REFUSALS)
    passing = isinstance(error, _PASSING) or any(code in text for code in _OUTAGES)
    if passing and not refused:
        return StoreUnavailable(f"the store at {target} does not answer: {text}")
    return StoreRefused(f"the store at {target} refused: {text}")
