"""What may be wrong with a server that is still there, each begun on entering, over on leaving."""

import contextlib
import threading
from collections.abc import Iterator

import redis

from tests.contract.waiting import eventually
from tests.servers import HOST, LocalServer

# Keys that make loading last until the test ends it.
BALLAST = 1000
# A loading server answers commands each time it has loaded this many bytes.
EAGER = ("--loading-process-events-interval-bytes", "1024")


@contextlib.contextmanager
def refused(server: LocalServer) -> Iterator[None]:
    with server.client() as client:
        client.save()
    server.kill()
    try:
        yield
    finally:
        server.start()


@contextlib.contextmanager
def frozen(server: LocalServer) -> Iterator[None]:
    server.pause()
    try:
        yield
    finally:
        server.resume()


@contextlib.contextmanager
def loading(server: LocalServer) -> Iterator[None]:
    with configured(server, "rdbcompression", "no") as client:
        client.execute_command("DEBUG", "POPULATE", BALLAST, "ballast", 2048)
        client.save()
    server.kill()
    as_usual = server.arguments
    server.arguments += ("--key-load-delay", "10000", *EAGER)
    server.start()
    with server.client() as client:
        try:
            yield
            assert client.info("persistence")["loading"], "it was over too soon"
        finally:
            client.config_set("key-load-delay", 0)
            server.arguments = as_usual


@contextlib.contextmanager
def read_only(server: LocalServer) -> Iterator[None]:
    with server.client() as client:
        client.replicaof(HOST, 1)
        try:
            yield
        finally:
            client.replicaof("NO", "ONE")


@contextlib.contextmanager
def cut_off_replica(server: LocalServer) -> Iterator[None]:
    with configured(server, "replica-serve-stale-data", "no"), read_only(server):
        yield


@contextlib.contextmanager
def out_of_memory(server: LocalServer) -> Iterator[None]:
    with configured(server, "maxmemory", "1"):
        yield


@contextlib.contextmanager
def without_replicas(server: LocalServer) -> Iterator[None]:
    with configured(server, "min-replicas-to-write", "1"):
        yield


@contextlib.contextmanager
def unable_to_save(server: LocalServer) -> Iterator[None]:
    def state() -> str:
        return str(client.info("persistence")["rdb_last_bgsave_status"])

    in_the_way = server.folder / "dump.rdb" / "in the way"
    in_the_way.mkdir(parents=True)
    with configured(server, "save", "3600 1000000") as client:
        client.bgsave()
        eventually(lambda: state() == "err")
        try:
            yield
        finally:
            in_the_way.rmdir()
            in_the_way.parent.rmdir()
            client.bgsave()
            eventually(lambda: state() == "ok")


@contextlib.contextmanager
def busy(server: LocalServer) -> Iterator[None]:
    def run_for_ever() -> None:
        with (
            server.client(socket_timeout=None) as client,
            contextlib.suppress(redis.ResponseError),
        ):
            client.eval("while true do end", 0)

    def is_busy() -> bool:
        try:
            return not client.ping()
        except redis.ResponseError as error:
            return "BUSY" in str(error)

    with configured(server, "lua-time-limit", "5") as client:
        runner = threading.Thread(target=run_for_ever)
        runner.start()
        eventually(is_busy)
        try:
            yield
        finally:
            client.script_kill()
            runner.join()


@contextlib.contextmanager
def full(server: LocalServer) -> Iterator[None]:
    """No connection is free, and the worker's own are gone."""
    with configured(server, "maxclients", "1") as client:
        client.client_kill_filter(_type="pubsub")
        client.client_kill_filter(_type="normal", skipme=True)
        yield


@contextlib.contextmanager
def configured(server: LocalServer, option: str, value: str) -> Iterator[redis.Redis]:
    with server.client() as client:
        before = client.config_get(option)[option]
        client.config_set(option, value)
        try:
            yield client
        finally:
            client.config_set(option, before)


STATES = {
    "refused": refused,
    "frozen": frozen,
    "loading": loading,
    "READONLY": read_only,
    "MASTERDOWN": cut_off_replica,
    "OOM": out_of_memory,
    "NOREPLICAS": without_replicas,
    "MISCONF": unable_to_save,
    "BUSY": busy,
    "maxclients": full,
}
