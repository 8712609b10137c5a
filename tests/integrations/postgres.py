"""A PostgreSQL of our own, from Debian's package: one cluster on the loopback, gone at the end."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Self

import psycopg
from procrastinate import App, SyncPsycopgConnector

from tests.servers import free_port

# Debian keeps the programs of each major version in a folder of its own, out of the path.
PROGRAMS = max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)
# Seconds that the server may take to come up on a busy machine.
PATIENCE = 60.0
# The tables are made once; what a test leaves in them is deleted.
TABLES = "procrastinate_jobs, procrastinate_workers, procrastinate_periodic_defers"


class Postgres:
    """One server, with Procrastinate's tables."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="breaker-postgres-"))
        self.port = free_port()
        self.url = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"
        # It does not run as root.
        self._as: dict[str, Any] = {}
        if os.getuid() == 0:
            self._as = {"user": "postgres", "group": "postgres", "extra_groups": []}
            shutil.chown(self.folder, "postgres", "postgres")

    def __enter__(self) -> Self:
        data = self.folder / "data"
        trust = ["--auth=trust", "--username=postgres", "--no-sync", "--encoding=UTF8"]
        made = self._start("initdb", "--pgdata", str(data), *trust)
        assert made.wait(PATIENCE) == 0, self._said()
        options = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": self.folder,
            "fsync": "off",
        }
        settings = [f"--{name}={value}" for name, value in options.items()]
        self._process = self._start("postgres", "-D", str(data), *settings)
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            assert self._process.poll() is None, self._said()
            assert time.monotonic() < deadline, self._said()
            time.sleep(0.05)
        with App(connector=SyncPsycopgConnector(conninfo=self.url)).open() as app:
            app.schema_manager.apply_schema()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGQUIT)  # at once, with all of its children
        self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def forget(self) -> None:
        """Delete what a test left, once its workers are gone."""
        self.drop_connections()
        self._execute(f"TRUNCATE {TABLES} CASCADE")

    def drop_connections(self) -> None:
        """Close every connection, as a restart would."""
        self._execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )

    def _execute(self, statement: Any) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement)

    def _answers(self) -> bool:
        try:
            self._execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def _start(self, program: str, *arguments: str) -> "subprocess.Popen[bytes]":
        assert PROGRAMS is not None
        with (self.folder / "output").open("ab") as output:
            return subprocess.Popen(
                [PROGRAMS / program, *arguments],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                **self._as,
            )

    def _said(self) -> str:
        return (self.folder / "output").read_text(errors="replace")
