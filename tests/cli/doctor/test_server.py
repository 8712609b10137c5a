"""What the server is, and what a crash or a failover would lose."""

import shutil
import subprocess

from breaker.cli.doctor import server
from tests.contract.waiting import eventually
from tests.servers import find_binary, free_port


def test_a_replica(doctor, new_server, server):
    port = server.url.rpartition(":")[2].partition("/")[0]
    replica = new_server("--replicaof", f"127.0.0.1 {port}")
    found = doctor(replica.url)
    assert found["role"]["level"] == "fail"
    assert found["role"]["advice"] == f"use the URL of its primary, 127.0.0.1:{port}"


def test_a_server_with_replicas_and_an_append_only_file(doctor, new_server):
    primary = new_server("--appendonly", "yes")
    port = primary.url.rpartition(":")[2].partition("/")[0]
    new_server("--replicaof", f"127.0.0.1 {port}")
    assert doctor(primary.url)["persistence"]["message"] == "append-only file"

    def look():
        found = doctor(primary.url)["replicas"]
        return found["message"].startswith("1; a failover may lose") and found["advice"]

    assert eventually(look) == "min-replicas-to-write 1 makes that rarer"
    with primary.client() as admin:
        admin.config_set("min-replicas-to-write", 1)
    assert doctor(primary.url)["replicas"]["advice"] == ""


def test_a_server_in_cluster_mode(doctor, new_server):
    server = new_server("--cluster-enabled", "yes", "--cluster-databases", "16")
    found = doctor(server.url)
    assert found["mode"]["level"] == "fail"
    assert "redis+cluster://" in found["mode"]["advice"]


def test_a_sentinel(doctor, tmp_path):
    """It only watches stores, and has no data of its own."""
    configuration = tmp_path / "sentinel.conf"
    port = free_port()
    configuration.write_text(f"port {port}\nbind 127.0.0.1\ndir {tmp_path}\n")
    binary = find_binary("redis-6.2").with_name("redis-server")
    with subprocess.Popen(
        [binary, configuration, "--sentinel"], stdout=subprocess.DEVNULL
    ) as process:
        try:
            url = f"redis://127.0.0.1:{port}"
            eventually(lambda: "mode" in doctor(url))
            assert doctor(url)["mode"]["level"] == "fail"
            assert "primary" in doctor(url)["mode"]["advice"]
        finally:
            process.kill()


def test_a_disk_that_is_full(doctor, new_server):
    """The snapshot cannot be written, and the server then takes no writes."""
    server = new_server("--save", "3600 1000000")
    shutil.rmtree(server.folder)
    with server.client() as admin:
        admin.set("anything", 1)
        admin.bgsave()
        eventually(lambda: admin.info("persistence")["rdb_last_bgsave_status"] == "err")
    found = doctor(server.url)
    assert found["persistence"]["level"] == "warn"
    assert "MISCONF" in found["persistence"]["advice"]
    assert found["scripts"]["level"] == "fail"


def test_a_version_that_is_too_old():
    found = server.version({"redis_version": "6.0.16"})
    assert found.level == "fail"
    assert "6.2" in found.advice


def test_valkey_is_called_by_its_name():
    found = server.version({"redis_version": "7.2.4", "valkey_version": "8.1"})
    assert (found.level, found.message) == ("ok", "Valkey 8.1")
