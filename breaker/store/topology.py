"""Which server has which breaker by now: asked of the Sentinels, or of the nodes of a cluster.

It is asked in a thread of its own, once for all that want to know, so that no caller waits longer
than its own deadline for servers that hang. Sync and async callers share what was found.
"""

import contextlib
import itertools
import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import redis
import redis.sentinel
from redis.backoff import NoBackoff
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.retry import Retry

from breaker import forking
from breaker.errors import StoreError, StoreRefused, StoreUnavailable
from breaker.store import connect
from breaker.store.peers import Address, Peers
from breaker.store.target import Target
from breaker.store.verdicts import translate

# Seconds between two looks that no answer of a server has asked for.
LEAST = 0.05
# Seconds that a caller with time to spare waits for an answer.
PATIENCE = 5.0
# Seconds that one server may take, so that a caller's time is enough to ask a second one.
SHARE = connect.TIMEOUT / 2
SLOTS = REDIS_CLUSTER_HASH_SLOTS
_numbers = itertools.count(1)
_BOUNDED: dict[str, Any] = {
    "socket_timeout": SHARE,
    "socket_connect_timeout": SHARE,
    "retry": Retry(NoBackoff(), 0),
    "protocol": 2,
}

_SCRIPTS = ("EVALSHA", "EVAL")
# First and last slot, and where their primary is.
Range = tuple[int, int, Address]


@dataclass(eq=False, slots=True)
class Shard:
    """One primary with its replicas. Another of them may be the primary tomorrow.

    Attributes:
        identity: the same for as long as it is the same shard.
        store: the whole of which it is a part.
        node: the primary; None: it is not known yet.
    """

    identity: str
    store: Target
    node: Target | None = None

    def __str__(self) -> str:
        """Where it is, without the password."""
        if self.node is None or self.node is self.store:
            return str(self.store)
        data = dict(self.node.data)
        return f"{self.store} (now {data['host']}:{data['port']})"


class Topology:
    """The shards of one store, as this process knows them.

    Args:
        target: the store.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self._whole = Shard(target.identity, target, None if target.peers else target)
        self._shards: list[Shard] = [self._whole]
        # By slot; empty until a cluster has been asked.
        self._by_slot: list[Shard] = []
        self._lock = threading.Lock()
        self._look: Future[None] | None = None
        self._looked_at = 0.0
        # Those that did not answer when they were asked last.
        self._silent: set[Address] = set()
        # Called whenever anything has changed.
        self.on_change: list[Callable[[Topology], None]] = []
        # Called with a key that is on its way from one server to another.
        self.on_move: list[Callable[[Topology, str], None]] = []

    def shard_of(self, key: str) -> Shard:
        """The shard that has a key; a shard without a node, if that is not known yet."""
        by_slot = self._by_slot
        return by_slot[key_slot(key.encode())] if by_slot else self._whole

    def shard_for(self, words: Sequence[str | int]) -> Shard:
        """The shard that has the keys of a command."""
        if not self._by_slot:
            return self._whole
        return self.shard_of(_key_of(words))

    def note_move(self, words: Sequence[str | int]) -> None:
        """The keys of a command are on their way from one server to another."""
        for call in tuple(self.on_move):
            call(self, _key_of(words))

    def nodes(self) -> list[Target]:
        """The primaries, as far as is known."""
        return [shard.node for shard in tuple(self._shards) if shard.node is not None]

    def has(self, node: Target) -> bool:
        """Whether a server is a primary, as far as is known."""
        return any(known is node for known in self.nodes())

    def server(self, address: Address) -> Target:
        """One server of the store; the same object for as long as it is a primary."""
        found = self.target.server(*address)
        return next((one for one in self.nodes() if one.identity == found.identity), found)

    def look(self, first: Address | None = None) -> "Future[None]":
        """Find out anew where the shards are; one look serves all that ask meanwhile.

        Args:
            first: which server of a cluster is asked before the others.
        """
        with self._lock:
            if self._look is not None and not self._look.done():
                return self._look
            look: Future[None] = Future()
            self._look = look
            look.set_running_or_notify_cancel()  # no waiter can cancel it for the others
            wait = 0.0 if first else self._looked_at + LEAST - time.monotonic()
            self._looked_at = time.monotonic() + max(0.0, wait)
        thread = threading.Thread(
            target=self._run, args=(look, first, wait), name="breaker-topology", daemon=True
        )
        try:
            thread.start()
        except RuntimeError as error:  # the interpreter ends, or there are too many threads
            look.set_exception(StoreUnavailable(f"{self.target} cannot be looked up: {error}"))
        return look

    def after_fork(self) -> None:
        """In a forked child the thread of the parent does not run."""
        self._lock, self._look = threading.Lock(), None

    def _run(self, look: "Future[None]", first: Address | None, wait: float) -> None:
        if wait > 0:
            time.sleep(wait)
        try:
            self._learn(self._find(first))
        except StoreError as error:
            look.set_exception(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, it must reach those who wait
            look.set_exception(translate(error, self.target))
        else:
            look.set_result(None)

    def _find(self, first: Address | None) -> list[Range]:
        peers = self.target.peers
        assert peers is not None  # noqa: S101 - one server is not looked up
        if peers.kind == "sentinel":
            return [(0, SLOTS - 1, _primary(self.target, peers))]
        return _slots(self.target, peers, self._addresses(peers, first), self._silent)

    def _addresses(self, peers: Peers, first: Address | None) -> list[Address]:
        """Whom to ask of a cluster: who should know best, the primaries, who was given."""
        known = [_address_of(shard.node) for shard in self._shards if shard.node]
        others = [*known, *peers.addresses]
        random.shuffle(others)
        others.sort(key=self._silent.__contains__)
        return list(dict.fromkeys([*([first] if first else []), *others]))

    def _learn(self, ranges: list[Range]) -> None:
        """Keep each shard that is still the same, wherever its primary is by now."""
        before = [(shard, shard.node) for shard in self._shards], self._by_slot
        if self.target.is_cluster:
            self._learn_slots(ranges)
        else:
            self._whole.node = self.server(ranges[0][2])
        if before != ([(shard, shard.node) for shard in self._shards], self._by_slot):
            for call in tuple(self.on_change):
                call(self)

    def _learn_slots(self, ranges: list[Range]) -> None:
        known = {_address_of(shard.node): shard for shard in self._shards if shard.node}
        named = {address for _, _, address in ranges}
        was = self._by_slot or [self._whole] * SLOTS
        by_slot = was.copy()
        for start, end, address in ranges:
            shard = known.get(address)
            if shard is None:
                shard = _heir(was[start : end + 1], named) or self._new_shard()
                known[address] = shard
                shard.node = self.target.server(*address)
            by_slot[start : end + 1] = [shard] * (end + 1 - start)
        self._shards = [shard for shard in dict.fromkeys(by_slot) if shard is not self._whole]
        self._by_slot = by_slot

    def _new_shard(self) -> Shard:
        return Shard(f"{self.target.identity}/{next(_numbers)}", self.target)


def is_same_slot(one: str, other: str) -> bool:
    """Whether two keys move together."""
    return key_slot(one.encode()) == key_slot(other.encode())


def _key_of(words: Sequence[str | int]) -> str:
    place = 3 if words[0] in _SCRIPTS else 1
    return str(words[place]) if len(words) > place else ""


def _heir(had_the_slots: list[Shard], named: set[Address]) -> Shard | None:
    """The shard that had most of the slots, if its primary is a primary no more."""
    for shard in sorted(set(had_the_slots), key=had_the_slots.count, reverse=True):
        if shard.node is not None and _address_of(shard.node) not in named:
            return shard
    return None


def _address_of(node: Target) -> Address:
    data = dict(node.data)
    return str(data["host"]), int(data["port"])


def _primary(target: Target, peers: Peers) -> Address:
    """Ask the Sentinels.

    Raises:
        StoreError: none of them knows.
    """
    login = dict(peers.login) | _BOUNDED
    manager = redis.sentinel.Sentinel(peers.addresses, sentinel_kwargs=login)
    try:
        host, port = manager.discover_master(peers.primary)
    except redis.sentinel.MasterNotFoundError:
        raise _missing(target, peers, manager.sentinels) from None
    except redis.ResponseError as error:
        if "unknown command" not in str(error).lower():
            raise
        message = f"{target} names a server that is no Sentinel: it knows no command SENTINEL"
        raise StoreRefused(message) from None
    finally:
        for sentinel in manager.sentinels:
            sentinel.close()
    return str(host), int(port)


def _missing(target: Target, peers: Peers, sentinels: list[redis.Redis]) -> StoreError:
    """Why there is no primary: a wrong name and a wrong password will not pass, the others may."""
    names: set[str] = set()
    says: list[Exception] = []
    for sentinel in sentinels:
        try:
            names.update(map(str, sentinel.sentinel_masters()))
        except (redis.RedisError, OSError) as error:
            says.append(error)
    if peers.primary in names:
        return StoreUnavailable(f"the Sentinels of {target} say that the primary is down")
    if names:
        known = ", ".join(sorted(names))
        return StoreRefused(
            f"the Sentinels of {target} know no primary called {peers.primary!r}; they know: {known}"
        )
    found = [translate(error, target) for error in says]
    refusal = next((one for one in found if isinstance(one, StoreRefused)), None)
    if refusal is not None or not says:
        return refusal or StoreRefused(f"the Sentinels of {target} watch no primary at all")
    return StoreUnavailable(f"no Sentinel of {target} answers: {says[0]}")


def _slots(
    target: Target, peers: Peers, addresses: list[Address], silent: set[Address]
) -> list[Range]:
    """Ask one node of the cluster after the other, until one answers.

    Raises:
        StoreError: none does.
    """
    errors: list[StoreError] = []
    for address in addresses:
        try:
            client = connect.open_sync(target.server(*address), SHARE)
            with contextlib.closing(client):
                told = client.execute_command("CLUSTER SLOTS")
        except (redis.RedisError, OSError) as error:
            silent.add(address)
            errors.append(_verdict(error, target, address))
            continue
        silent.discard(address)
        if told:
            return [_range(one, address, peers) for one in told]
        errors.append(StoreUnavailable(f"the cluster at {target} has no slots assigned"))
    refusals = [error for error in errors if isinstance(error, StoreRefused)]
    raise (refusals or errors)[0]


def _verdict(error: Exception, target: Target, address: Address) -> StoreError:
    host, port = address
    if "cluster support disabled" in str(error):
        return StoreRefused(
            f"the server at {host}:{port} is not part of a cluster: "
            f"its URL must begin with redis:// instead of redis+cluster://"
        )
    return translate(error, target, f"{target}, asked at {host}:{port},")


def _range(told: list[Any], asked: Address, peers: Peers) -> Range:
    start, end, (host, port, *_), *_ = told
    host = host.decode() if isinstance(host, bytes) else host
    address = (host if host and host != "?" else asked[0], int(port))
    return int(start), int(end), peers.remap(address) if peers.remap else address


_by_store: dict[str, Topology] = {}


def topology_of(target: Target) -> Topology:
    """What this process knows of a store's servers."""
    return _by_store.get(target.identity) or _by_store.setdefault(
        target.identity, Topology(target)
    )


def primaries(target: Target) -> list[Target]:
    """The servers that take writes now: one, or as many as a cluster has shards.

    Raises:
        StoreError: that is not to be found out.
    """
    topology = topology_of(target)
    if target.peers is not None:
        try:
            topology.look().result(PATIENCE)
        except TimeoutError as error:
            raise translate(error, target) from None
    return topology.nodes()


@forking.in_child
def _after_fork() -> None:
    for topology in _by_store.values():
        topology.after_fork()
