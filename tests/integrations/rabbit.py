"""A RabbitMQ of our own, from Debian's package: one node on the loopback, gone at the end."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

from tests.servers import free_port

# Debian's wrapper in the path would change the user; this is the program itself.
PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
# Seconds that the node may take to come up on a busy machine.
PATIENCE = 90.0
QUEUES = [name + suffix for name in ("content", "other") for suffix in ("", ".DQ", ".XQ")]


class Rabbit:
    """One node, with a data folder, a port mapper and ports of its own."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="breaker-rabbit-"))
        self.port = free_port()
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}/%2F"
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "RABBITMQ_NODENAME": f"breaker-{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_PID_FILE": str(self.folder / "pid"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_CONF_ENV_FILE": str(self.folder / "environment"),
            "RABBITMQ_LOGS": "-",
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(free_port()),
        }

    def __enter__(self) -> Self:
        with (self.folder / "output").open("wb") as output:
            self._process = subprocess.Popen(
                [PROGRAM],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        deadline = time.monotonic() + PATIENCE
        while "Server startup complete" not in self._said():
            assert self._process.poll() is None, self._said()
            assert time.monotonic() < deadline, self._said()
            time.sleep(0.1)
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        # The port mapper is a daemon; it ends only once it has noticed that its node is gone.
        deadline = time.monotonic() + 5
        while self._end_mapper() and time.monotonic() < deadline:
            time.sleep(0.1)
        shutil.rmtree(self.folder, ignore_errors=True)

    def forget(self) -> None:
        """Delete the queues: the next test may belong to a framework that declares others."""
        from kombu import Connection, pools

        with Connection(self.url) as connection, connection.channel() as channel:
            for queue in QUEUES:
                channel.queue_delete(queue)
        pools.reset()  # its connections remember what they have declared

    def drop_connections(self) -> None:
        """Close every connection, as a restart would."""
        command = [PROGRAM.with_name("rabbitmqctl"), "close_all_connections", "test"]
        subprocess.run(command, env=self._environment, check=True, capture_output=True)

    def _end_mapper(self) -> bool:
        command = ["epmd", "-kill"]
        ended = subprocess.run(command, env=self._environment, capture_output=True, check=False)
        return ended.returncode != 0

    def _said(self) -> str:
        return (self.folder / "output").read_text(errors="replace")
