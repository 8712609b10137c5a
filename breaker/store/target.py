"""Where the store is: a URL or a client's connection data, read and checked."""

import os
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from redis.connection import parse_url

from breaker.errors import ConfigurationError

DEFAULT_URL = "redis://localhost:6379/0"
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
            ConfigurationError: the URL is invalid; the message says what is valid.
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


def find_target(url: str | None, redis: Any) -> Target:
    """Where the store is: the URL or client given, else BREAKER_URL, else the local server."""
    if url is not None and redis is not None:
        raise ConfigurationError(["give url or redis, not both"])
    if redis is not None:
        return Target.of_client(redis)
    if url is not None:
        return Target.of_url(url)
    try:
        return Target.of_url(os.environ.get("BREAKER_URL") or DEFAULT_URL)
    except ConfigurationError as error:
        raise ConfigurationError(
            [f"BREAKER_URL: {problem}" for problem in error.problems]
        ) from None


def url_problems(url: object) -> Iterator[str]:
    """Yield what is wrong with a store's URL, one line each."""
    expected = "it must look like redis://[user:password@]host[:port][/database]"
    if not isinstance(url, str) or not url.startswith(SCHEMES):
        shown = without_password(url) if isinstance(url, str) else repr(url)
        yield f"not a valid store URL: {shown!r}; {expected}, rediss:// for TLS, or unix://path"
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


def this_worker() -> str:
    """The default name of a worker: host and process id."""
    return f"{socket.gethostname()}:{os.getpid()}"
