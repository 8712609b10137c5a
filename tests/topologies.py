"""Groups of real servers on the loopback: a primary with replicas under Sentinels, and a cluster."""

import contextlib
import itertools
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any, Self

import redis
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

from tests.servers import DATABASE, HOST, LocalServer, StartError, free_port

# What the Sentinels call the primary.
PRIMARY = "breakers"
# Milliseconds after which a silent server is taken to be down.
DOWN_AFTER = 2000
# Seconds that a group may take until it is whole.
PATIENCE = 40.0
# A cluster's servers talk to each other on a second port, 10,000 above; this keeps it below those
# that the system gives to outgoing connections.
BUS = 10_000
CLUSTER_PORTS = range(20_000, 22_000)
PRIMARIES = 3


class Node(LocalServer):
    """One server of a group, told what to be by its arguments."""

    database = 0


class SentinelServer(Node):
    """A Sentinel: the same program, in another mode, with a file that it rewrites."""

    def watch(self, primary: LocalServer, quorum: int) -> None:
        with contextlib.closing(self.client()) as client:
            client.execute_command(
                "SENTINEL", "MONITOR", PRIMARY, HOST, str(primary.port), str(quorum)
            )
            for option, value in (
                ("down-after-milliseconds", DOWN_AFTER),
                ("failover-timeout", 6000),
            ):
                client.execute_command("SENTINEL", "SET", PRIMARY, option, str(value))

    def _options(self) -> Iterator[str]:
        file = self.folder / "sentinel.conf"
        if not file.exists():
            file.write_text(f"dir {self.folder}\n")
        yield from (str(file), "--sentinel", "--bind", HOST, "--port", str(self.port))


class SentinelGroup:
    """A primary, its replicas, and three Sentinels that watch them."""

    def __init__(self, flavour: str, *, replicas: int = 1, database: int = DATABASE) -> None:
        self.flavour = flavour
        self.database = database
        self.servers = [LocalServer(flavour) for _ in range(1 + replicas)]
        self.sentinels = [SentinelServer(flavour) for _ in range(3)]

    @property
    def url(self) -> str:
        hosts = ",".join(f"{HOST}:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{hosts}/{PRIMARY}/{self.database}"

    def start(self) -> Self:
        primary = self.servers[0].start()
        for replica in self.servers[1:]:
            replica.start()
            with contextlib.closing(replica.client()) as client:
                client.replicaof(HOST, primary.port)
        until(self._is_replicated, "the replicas do not follow")
        for sentinel in self.sentinels:
            sentinel.start()
            sentinel.watch(primary, quorum=2)
        until(self._is_watched, "the Sentinels do not know each other")
        return self

    @property
    def primary(self) -> LocalServer:
        """The server that most Sentinels call the primary."""
        ports = [self._primary_port(one) for one in self.sentinels if one.is_running()]
        port = max(ports, key=ports.count)
        return next(server for server in self.servers if server.port == port)

    def await_primary(self, other_than: LocalServer) -> LocalServer:
        """Wait until another server is the primary and says so itself."""
        until(
            lambda: self.primary is not other_than and self._role(self.primary) == "master",
            "no replica was promoted",
        )
        return self.primary

    def fail_over(self) -> LocalServer:
        """Have another server made the primary, as an operator would."""
        before = self.primary
        with contextlib.closing(self.sentinels[0].client()) as client:
            client.execute_command("SENTINEL", "FAILOVER", PRIMARY)
        return self.await_primary(before)

    def stop(self) -> None:
        for server in (*self.sentinels, *self.servers):
            server.stop()

    def _primary_port(self, sentinel: LocalServer) -> int:
        with contextlib.closing(sentinel.client()) as client:
            address: Any = client.execute_command(
                "SENTINEL", "GET-MASTER-ADDR-BY-NAME", PRIMARY
            )
        return int(address[1])

    @staticmethod
    def _role(server: LocalServer) -> str:
        if not server.is_running() or server.paused:
            return "away"
        with contextlib.closing(server.client()) as client:
            info: dict[str, Any] = client.info("replication")
        return str(info["role"])

    def _is_replicated(self) -> bool:
        return all(follows(server) for server in self.servers[1:])

    def _is_watched(self) -> bool:
        for sentinel in self.sentinels:
            with contextlib.closing(sentinel.client()) as client:
                state: Any = client.execute_command("SENTINEL MASTER", PRIMARY)
            others = int(state["num-other-sentinels"])
            if others < len(self.sentinels) - 1 or int(state["num-slaves"]) < 1:
                return False
        return True

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


class Cluster:
    """Three primaries with a replica each.

    Args:
        flavour: which servers.
        arguments: further options of each.
    """

    def __init__(self, flavour: str, *arguments: str) -> None:
        self.flavour = flavour
        self.arguments = (
            "--cluster-enabled",
            "yes",
            "--cluster-node-timeout",
            str(DOWN_AFTER),
            "--cluster-require-full-coverage",
            "no",
            "--cluster-config-file",
            "nodes.conf",
            *arguments,
        )
        self.nodes: list[Node] = []

    @property
    def url(self) -> str:
        hosts = ",".join(f"{HOST}:{node.port}" for node in self.nodes)
        return f"redis+cluster://{hosts}/0"

    def start(self) -> Self:
        for _ in range(2 * PRIMARIES):
            self.nodes.append(self._started())
        ids = [self.id_of(node) for node in self.nodes]
        for number, node in enumerate(self.nodes):
            with contextlib.closing(node.client()) as client:
                client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
                if number < PRIMARIES:
                    client.execute_command("CLUSTER", "ADDSLOTS", *_slots(number))
                client.execute_command("CLUSTER", "MEET", HOST, self.nodes[0].port)
        until(lambda: all(self._knows_all(node) for node in self.nodes), "they did not meet")
        for number, node in enumerate(self.nodes[PRIMARIES:]):
            with contextlib.closing(node.client()) as client:
                client.execute_command("CLUSTER", "REPLICATE", ids[number])
        until(self.is_whole, "the cluster is not whole")
        return self

    def _started(self) -> Node:
        ports = iter(free_ports())
        while True:
            node = Node(self.flavour, *self.arguments)
            node.port = next(ports)
            try:
                return node.start()
            except StartError:
                node.stop()

    def is_whole(self) -> bool:
        """Whether all servers run, agree on who has which slots, and every replica follows."""
        views = []
        for node in self.nodes:
            with contextlib.closing(node.client()) as client:
                info: dict[str, str] = client.execute_command("CLUSTER INFO")
                is_primary = client.info("replication")["role"] == "master"
                views.append(slots_of(client))
            if info["cluster_state"] != "ok" or not (is_primary or follows(node)):
                return False
        return all(view == views[0] for view in views) and len(views[0]) >= PRIMARIES

    def node_of(self, key: str) -> Node:
        """The primary that has a key, as most running servers see it."""
        slot, seen = key_slot(key.encode()), []
        for node in self.running():
            with contextlib.closing(node.client(socket_timeout=1)) as client:
                seen += [port for start, end, port in slots_of(client) if start <= slot <= end]
        port = max(seen, key=seen.count)
        return next(node for node in self.nodes if node.port == port)

    def primaries(self) -> list[Node]:
        """The servers that have slots, as one of the running ones sees it."""
        with contextlib.closing(self.running()[0].client(socket_timeout=1)) as client:
            ports = {port for _, _, port in slots_of(client)}
        return [node for node in self.nodes if node.port in ports]

    def running(self) -> list[Node]:
        return [node for node in self.nodes if node.is_running() and not node.paused]

    def replica_of(self, primary: Node) -> Node:
        """A replica that follows this primary."""
        for node in self.running():
            with contextlib.closing(node.client()) as client:
                info: dict[str, Any] = client.info("replication")
            if info["role"] != "master" and info["master_port"] == primary.port:
                return node
        raise LookupError(f"no replica follows {primary}")

    def await_failover(self, gone: Node) -> None:
        """Wait until no running server believes that `gone` has slots."""

        def is_over() -> bool:
            for node in self.running():
                with contextlib.closing(node.client(socket_timeout=1)) as client:
                    if gone.port in {port for _, _, port in slots_of(client)}:
                        return False
            return True

        until(is_over, "no replica was promoted")

    def migrate(self, key: str, to: Node, *, at_step: Callable[[str], None]) -> None:
        """Move the slot of a key; `at_step` is called between the steps of the migration."""
        slot, source = key_slot(key.encode()), self.node_of(key)
        with (
            contextlib.closing(source.client()) as old,
            contextlib.closing(to.client()) as new,
        ):
            new.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", self.id_of(source))
            old.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", self.id_of(to))
            at_step("begun")
            while keys := old.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 1):
                old.execute_command("MIGRATE", HOST, to.port, "", 0, 5000, "KEYS", *keys)
                at_step("a key moved")
            at_step("all moved")
            for node in (to, source, *(p for p in self.primaries() if p not in (to, source))):
                with contextlib.closing(node.client()) as client:
                    client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", self.id_of(to))
        at_step("done")

    @staticmethod
    def id_of(node: Node) -> str:
        with contextlib.closing(node.client()) as client:
            return str(client.execute_command("CLUSTER", "MYID"))

    def _knows_all(self, node: Node) -> bool:
        with contextlib.closing(node.client()) as client:
            info: dict[str, str] = client.execute_command("CLUSTER INFO")
        return int(info["cluster_known_nodes"]) == len(self.nodes)

    def stop(self) -> None:
        for node in self.nodes:
            node.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def slots_of(client: redis.Redis) -> list[tuple[int, int, int]]:
    """Who has which slots, as one server sees it: first, last, port of the primary."""
    seen: Any = client.execute_command("CLUSTER SLOTS")
    return sorted((start, end, primary[1]) for start, end, primary, *_ in seen)


def free_ports() -> Iterator[int]:
    """Ports of the loopback for a cluster's servers: the bus's port has to be free too."""
    for _ in range(200):
        port = CLUSTER_PORTS.start + free_port() % len(CLUSTER_PORTS)
        with (
            socket.socket() as one,
            socket.socket() as two,
            contextlib.suppress(OSError),
        ):
            one.bind((HOST, port))
            two.bind((HOST, port + BUS))
            one.close()
            two.close()
            yield port
    raise StartError("no two free ports for a cluster's server")


def until(is_so: Callable[[], bool], complaint: str, seconds: float = PATIENCE) -> float:
    """Wait for a condition; returns how long it took, in seconds."""
    began = time.monotonic()
    for pause in itertools.chain((0.01, 0.02, 0.05), itertools.repeat(0.1)):
        try:
            if is_so():
                return time.monotonic() - began
        except (redis.RedisError, OSError):
            pass
        if time.monotonic() - began > seconds:
            raise StartError(f"{complaint} within {seconds:g} s")
        time.sleep(pause)
    raise AssertionError


def follows(server: LocalServer) -> bool:
    """Whether a server is a replica that is up to date with its primary."""
    with contextlib.closing(server.client()) as client:
        info: dict[str, Any] = client.info("replication")
    return info["role"] == "slave" and info["master_link_status"] == "up"


def _slots(number: int) -> range:
    """The slots that the primary of this number has at first."""
    share = REDIS_CLUSTER_HASH_SLOTS // PRIMARIES
    end = REDIS_CLUSTER_HASH_SLOTS if number == PRIMARIES - 1 else (number + 1) * share
    return range(number * share, end)
