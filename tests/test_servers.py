"""The servers that all other tests stand on."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from tests import servers
from tests.servers import LocalServer, Server

# Starts a server, says its pid and waits to be killed.
OWNER = """
import time
from tests import servers
print(servers.make_server(servers.FLAVOURS[0]).start().pid, flush=True)
time.sleep(60)
"""


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def gone_within(pid: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not is_alive(pid)


def test_each_flavour_answers_and_is_what_it_is_called(any_server):
    with any_server.client() as client:
        assert client.ping()
    if any_server.flavour in servers.FLAVOURS:
        assert any_server.version().startswith(f"{any_server.flavour}.")


def test_each_flavour_runs_scripts(any_server):
    with any_server.client() as client:
        assert client.eval("return redis.call('TIME')[1] + 0", 0) > 0


@pytest.mark.parametrize("flavour", servers.FLAVOURS)
def test_each_flavour_lets_tests_use_debug(flavour, new_server):
    with new_server(flavour=flavour).client() as client:
        assert client.execute_command("DEBUG", "SLEEP", "0")


def test_a_url_names_a_database_that_is_not_the_first(new_server):
    with new_server().client() as client:
        assert client.connection_pool.connection_kwargs["db"] == servers.DATABASE > 0


def test_a_paused_server_hangs_until_it_is_resumed(new_server):
    server = new_server()
    with server.client(socket_timeout=0.1, retry=None) as client:
        server.pause()
        with pytest.raises(redis.TimeoutError):
            client.ping()
        server.resume()
        assert client.ping()


def test_a_killed_server_refuses_and_comes_back_empty_at_its_address(new_server):
    server = new_server()
    with server.client(retry=None) as client:
        client.set("key", "value")
        server.kill()
        with pytest.raises(redis.ConnectionError):
            client.ping()
        server.start()
        assert client.get("key") is None


def test_a_restart_keeps_what_was_appended_to_a_file(new_server):
    server = new_server("--appendonly", "yes")
    with server.client() as client:
        client.set("key", "value")
        server.restart()
        assert client.get("key") == "value"


@pytest.mark.parametrize("harm", [LocalServer.pause, LocalServer.kill])
def test_healing_undoes_what_a_test_left(harm: Callable[[Server], None]):
    pool = servers.Pool()
    with contextlib.closing(pool.get(servers.FLAVOURS[0]).client(socket_timeout=5)) as client:
        harm(pool.get(servers.FLAVOURS[0]))
        pool.heal()
        assert client.ping()
    pool.stop()


def test_a_stopped_server_leaves_nothing(new_server):
    server = new_server()
    pid = server.pid
    assert server.folder.exists()
    server.stop()
    assert not is_alive(pid)
    assert not server.folder.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_a_server_ends_with_the_process_that_started_it(tmp_path):
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER],
        cwd=Path(__file__).parent.parent,
        env=os.environ | {"TMPDIR": str(tmp_path)},  # a killed process cannot tidy up
        stdout=subprocess.PIPE,
        text=True,
    )
    with owner:
        assert owner.stdout
        pid = int(owner.stdout.readline())
        assert is_alive(pid)
        owner.kill()
    assert gone_within(pid, seconds=10)


def test_a_server_that_cannot_start_says_why(new_server):
    with pytest.raises(servers.StartError, match="no-such-option"):
        new_server("--no-such-option", "1")


def test_a_program_of_another_version_is_passed_over(monkeypatch):
    monkeypatch.setattr(servers, "candidates", lambda *_: [Path("/bin/true")])
    with pytest.raises(servers.MissingFlavourError, match=r"not a server.*Debian 12"):
        servers.find_binary.__wrapped__("redis-7.0")


@pytest.mark.parametrize(
    ("ci", "outcome"), [("", pytest.skip.Exception), ("true", pytest.fail.Exception)]
)
def test_what_is_missing_is_skipped_here_but_fails_in_ci(monkeypatch, ci, outcome):
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match="no such server"):
        servers.absent("no such server")


@pytest.mark.parametrize("variable", ["BREAKER_TEST_URL", "REDIS_URL"])
def test_a_named_server_is_used_and_left_alone(monkeypatch, server, variable):
    monkeypatch.delenv("BREAKER_TEST_URL", raising=False)
    monkeypatch.setenv(variable, server.url)
    external = servers.Pool().get(servers.default_flavour())
    assert external.version() == server.version()
    external.stop()
    assert server.is_running()
    with pytest.raises(servers.NotOursError):
        external.kill()
