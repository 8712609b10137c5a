"""The servers that say where the store is: Sentinels, or some nodes of a cluster."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import parse_qsl, urlencode, urlsplit

SCHEMES = ("redis+sentinel://", "rediss+sentinel://", "redis+cluster://", "rediss+cluster://")
PORTS = {"sentinel": 26379, "cluster": 6379}
# What the URL's query calls the login of the Sentinels themselves, and whether they speak TLS.
OWN = "sentinel_"
_OWN_OPTIONS = frozenset(["sentinel_username", "sentinel_password", "sentinel_ssl"])
_NO = frozenset(["0", "false", "no"])

Address = tuple[str, int]


@dataclass(frozen=True, repr=False)
class Peers:
    """Where to ask, and for what.

    Attributes:
        kind: what they are.
        addresses: at least one; the others are found through them.
        primary: what the Sentinels call the primary.
        login: the connection data of the Sentinels themselves.
        remap: turns an address that a cluster tells into the one to connect to.
    """

    kind: Literal["sentinel", "cluster"]
    addresses: tuple[Address, ...]
    primary: str = ""
    login: tuple[tuple[str, Any], ...] = ()
    remap: Callable[[Address], Address] | None = None

    def __str__(self) -> str:
        hosts = ",".join(f"{_bracketed(host)}:{port}" for host, port in self.addresses)
        return f"{self.kind}://{hosts}" + (f"/{self.primary}" if self.primary else "")

    def __repr__(self) -> str:
        """What tells two groups apart; it goes into a digest."""
        return repr((self.kind, self.addresses, self.primary, self.login))


def split(url: str) -> tuple[str, Peers | None]:
    """Return the URL of the first server alone, and the peers; None for a URL of one server.

    Raises:
        ValueError: what is wrong, without any part of the URL.
    """
    scheme, _, rest = url.partition("://")
    base, _, kind = scheme.partition("+")
    if not kind:
        return url, None
    parts = urlsplit(f"{base}://{rest}")
    login, at, hosts = parts.netloc.rpartition("@")
    addresses = tuple(_address(host, PORTS[kind]) for host in hosts.split(","))
    first = f"{_bracketed(addresses[0][0])}:{addresses[0][1]}"
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    own = {name: query.pop(name) for name in _OWN_OPTIONS & query.keys()}
    fragment = f"#{parts.fragment}" if parts.fragment else ""
    plain = f"{base}://{login}{at}{first}"
    tail = (f"?{urlencode(query)}" if query else "") + fragment
    if kind == "cluster":
        if parts.path.strip("/") not in ("", "0"):
            raise ValueError(", since a cluster has only the database 0")
        return f"{plain}/0{tail}", Peers("cluster", addresses)
    primary, _, database = parts.path.strip("/").partition("/")
    if not primary:
        raise ValueError(", since it does not say what the Sentinels call the primary")
    data = _own_login(own, query, is_tls=base == "rediss")
    return f"{plain}/{database}{tail}", Peers("sentinel", addresses, primary, data)


def of_sentinel(pool: Any) -> Peers:
    """Take the Sentinels out of a pool of redis-py, sync or async."""
    manager = pool.sentinel_manager
    asked = [one.connection_pool for one in manager.sentinels]
    first = asked[0].connection_kwargs
    login: dict[str, Any] = {
        name: value
        for name, value in first.items()
        if name in ("username", "password") or name.startswith("ssl_")
    }
    login["ssl"] = "SSL" in asked[0].connection_class.__name__
    addresses = tuple(
        (str(one.connection_kwargs["host"]), int(one.connection_kwargs["port"]))
        for one in asked
    )
    return Peers("sentinel", addresses, str(pool.service_name), _sorted(login))


def of_cluster(nodes: Any) -> Peers:
    """Take the nodes out of a RedisCluster's, sync or async."""
    found = {(str(node.host), int(node.port)) for node in nodes.startup_nodes.values()}
    return Peers("cluster", tuple(sorted(found)), remap=getattr(nodes, "address_remap", None))


def _address(text: str, port: int) -> Address:
    parts = urlsplit(f"//{text}")
    if not parts.hostname or parts.path or parts.query or "@" in text:
        raise ValueError
    return parts.hostname, parts.port or port


def _own_login(
    own: Mapping[str, str], query: Mapping[str, str], *, is_tls: bool
) -> tuple[tuple[str, Any], ...]:
    login: dict[str, Any] = {
        name.removeprefix(OWN): value for name, value in own.items() if name != "sentinel_ssl"
    }
    login["ssl"] = own["sentinel_ssl"].lower() not in _NO if "sentinel_ssl" in own else is_tls
    if login["ssl"]:
        login |= {name: value for name, value in query.items() if name.startswith("ssl_")}
    return _sorted(login)


def _sorted(data: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted((name, value) for name, value in data.items() if value is not None))


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
