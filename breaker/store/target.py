"""Where the store is: a URL or a client's connection data, read and checked.

One server, the primary that Sentinels name, or a cluster. Where the servers of the latter two are
by now is found out by `breaker.store.topology`.
"""

import os
import secrets
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any, Literal, Self
from urllib.parse import parse_qs, urlsplit

from redis.connection import parse_url

from breaker.errors import ConfigurationError
from breaker.store import peers
from breaker.store.peers import Peers

DEFAULT_URL = "redis://localhost:6379/0"
SCHEMES = ("redis://", "rediss://", "unix://")
# The random word of a worker's name: three syllables are 600,000 words.
CONSONANTS = "bdfghjklmnprstvwz"
VOWELS = "aeiou"
SYLLABLES = 3
SHOWN_SCHEMES = ", ".join((*SCHEMES, *peers.SCHEMES))
EXPECTED = (
    "it must look like redis://[user:password@]host[:port][/database], "
    "rediss:// for TLS, unix://path[?db=database], "
    "redis+sentinel://host[:port],host2/PRIMARY[/database] for Redis Sentinel, "
    "or redis+cluster://host[:port],host2 for Redis Cluster"
)
ENCODE = (
    "A '/', '#', '?', '@' or '%' in the password must be percent-encoded "
    "(urllib.parse.quote(password, safe=''))"
)

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
# Parameters of a URL that redis-py knows and that our connections have no use for.
_OTHERS = frozenset(
    [
        "decode_responses",
        "encoding",
        "encoding_errors",
        "health_check_interval",
        "max_connections",
        "retry_on_error",
        "retry_on_timeout",
        "socket_connect_timeout",
        "socket_read_size",
        "socket_timeout",
        "timeout",
    ]
)
Kind = Literal["tcp", "tls", "unix"]


@dataclass(frozen=True, repr=False)
class Target:
    """Where the store is: everything needed to connect to it, and nothing else."""

    kind: Kind
    data: tuple[tuple[str, Any], ...]
    peers: Peers | None = None

    @classmethod
    def of_url(cls, url: str) -> Self:
        """Read a URL.

        Raises:
            ConfigurationError: the URL is invalid; the message says what is valid.
        """
        problems = list(url_problems(url))
        if problems:
            raise ConfigurationError(problems)
        plain, group = peers.split(url)
        parsed: Mapping[str, Any] = parse_url(plain)
        scheme = urlsplit(plain).scheme
        kind: Kind = "unix" if scheme == "unix" else "tls" if scheme == "rediss" else "tcp"
        return cls._of(kind, parsed, group)

    @classmethod
    def of_client(cls, client: Any) -> Self:
        """Take the connection data out of a redis-py client, sync or async.

        Raises:
            ConfigurationError: it is not a client of a single server.
        """
        if (nodes := getattr(client, "nodes_manager", None)) is not None:
            data = getattr(nodes, "connection_kwargs", {})
            is_tls = bool(data.get("ssl")) or "SSL" in str(data.get("connection_class"))
            return cls._of("tls" if is_tls else "tcp", data, peers.of_cluster(nodes))
        pool = getattr(client, "connection_pool", None)
        if pool is None or not hasattr(pool, "connection_kwargs"):
            kind = type(client).__name__
            raise ConfigurationError(
                [
                    f"redis must be a redis.Redis client or a RedisCluster, not {kind}; or give a url"
                ]
            )
        made_by = pool.connection_class
        if not made_by.__module__.startswith("redis."):
            name = f"{made_by.__module__}.{made_by.__qualname__}"
            raise ConfigurationError(
                [
                    f"redis has connections of a class that is not redis-py's ({name}); give a url"
                ]
            )
        made_by = made_by.__name__
        kind_: Kind = "unix" if "Unix" in made_by else "tls" if "SSL" in made_by else "tcp"
        if hasattr(pool, "service_name"):
            return cls._of(kind_, pool.connection_kwargs, peers.of_sentinel(pool))
        return cls._of(kind_, pool.connection_kwargs)

    @classmethod
    def _of(cls, kind: Kind, given: Mapping[str, Any], group: Peers | None = None) -> Self:
        kept = {k: v for k, v in given.items() if k in _KEPT or k.startswith("ssl_")}
        problems = list(_file_problems(kept)) if kind == "tls" else []
        if problems:
            raise ConfigurationError(problems)
        if group is not None:
            kept = {k: v for k, v in kept.items() if k not in ("host", "port")}
        return cls(kind, tuple(sorted(kept.items())), group)

    def server(self, host: str, port: int) -> "Target":
        """One server of the group, with the group's login."""
        return Target(
            self.kind, tuple(sorted((dict(self.data) | {"host": host, "port": port}).items()))
        )

    @cached_property
    def identity(self) -> str:
        """The same for two targets that need no two connections. It tells nothing of a password."""
        return sha256(repr((self.kind, self.data, self.peers)).encode()).hexdigest()

    @property
    def is_cluster(self) -> bool:
        """Whether the breakers are spread over several primaries."""
        return self.peers is not None and self.peers.kind == "cluster"

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
        if self.peers is not None:
            database = "" if self.is_cluster else f"/{self.database}"
            return f"{scheme}+{self.peers}{database}"
        where = f"{data.get('host', 'localhost')}:{data.get('port', 6379)}"
        return f"{scheme}://{where}/{self.database}"

    __repr__ = __str__


def find_target(url: str | None, redis: Any) -> Target:
    """Where the store is: the URL or client given, else BREAKER_URL, else the local server."""
    if url is not None and redis is not None:
        raise ConfigurationError(["give url or redis, not both"])
    if isinstance(redis, Target):  # of a breaker that comes from another process
        return redis
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
    """Yield what is wrong with a store's URL, one line each.

    No line shows a part of the URL: where it does not parse, any part may be a password's.
    """
    if not isinstance(url, str):
        yield f"the store's URL must be text, not {type(url).__name__}: {EXPECTED}"
        return
    if not url.startswith((*SCHEMES, *peers.SCHEMES)):
        yield f"not a valid store URL, since it begins with none of {SHOWN_SCHEMES}: {EXPECTED}"
        return
    try:
        url, _ = peers.split(url)
    except ValueError as error:
        yield f"the store's URL does not parse{error}: {EXPECTED}. {ENCODE}"
        return
    if not _is_plain(url):
        yield f"the store's URL does not parse: {EXPECTED}. {ENCODE}"


def _is_plain(url: str) -> bool:
    """Whether the URL parses, and nothing in it looks like a piece of a password."""
    try:
        parts = urlsplit(url)
        _ = parts.port
        parse_url(url)
        unknown = parse_qs(parts.query).keys() - _KEPT - _OTHERS
    except ValueError:
        return False
    if parts.fragment or "@" in parts.path or ("@" in parts.query and "=" not in parts.query):
        return False
    if any(not name.startswith("ssl_") for name in unknown):
        return False
    database = parts.path.strip("/")
    return parts.scheme == "unix" or not database or database.isdecimal()


def _file_problems(given: Mapping[str, Any]) -> Iterator[str]:
    """Yield which of the files for TLS cannot be read."""
    for name in ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile"):
        path = given.get(name)
        if path and not os.access(path, os.R_OK):
            yield f"{name}: the file {path!r} is not there, or this user may not read it"


def this_worker() -> str:
    """A name for a worker that was given none: host, process, and a random word.

    Two containers may share the host's name, and each have its worker as process 1.
    """
    word = "".join(
        secrets.choice(CONSONANTS) + secrets.choice(VOWELS) for _ in range(SYLLABLES)
    )
    return f"{socket.gethostname()}:{os.getpid()}:{word}"
