"""The command, run in this process or in one of its own, on breakers that no other test sees."""

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import pytest
from click.testing import CliRunner, Result

from breaker import Breaker
from breaker.cli.app import app
from tests.contract.waiting import eventually

PATIENCE = 15.0


@pytest.fixture(autouse=True)
def _own_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the developer has set decides nothing here."""
    for variable in [one for one in os.environ if one.startswith("BREAKER_")]:
        if variable != "BREAKER_TEST_URL":
            monkeypatch.delenv(variable)
    monkeypatch.setenv("TZ", "UTC")


@pytest.fixture
def prefix() -> str:
    """Key names of this test alone, so that a list of all breakers holds only its own."""
    return f"cli-{uuid.uuid4().hex[:12]}"


class Run(Protocol):
    def __call__(self, *words: str, url: str | None = None) -> Result: ...


@pytest.fixture
def run(url: str, prefix: str) -> Run:
    """Run the command here; an uncaught exception fails the test."""

    def invoke(*words: str, url: str | None = url) -> Result:
        options = [] if url is None else ["--url", url]
        words = (*options, "--prefix", prefix, *words)
        result = CliRunner().invoke(app, words, prog_name="breaker")
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return invoke


Make = Callable[..., Breaker]


@pytest.fixture
def make(url: str, prefix: str) -> Iterator[Make]:
    """A worker's breaker under the test's prefix."""
    with contextlib.ExitStack() as opened:

        def new(name: str, **options: Any) -> Breaker:
            options = {"url": url, "prefix": prefix, "worker": "worker-1:42"} | options
            return opened.enter_context(Breaker(name, **options))

        yield new


def trip(breaker: Breaker, retry_after: float | None = None) -> None:
    """Report rate limit errors until it trips."""
    while not breaker.record_rate_limit_error(retry_after).tripped:
        pass


def recover(breaker: Breaker) -> None:
    """Trip it for a moment and wait until it recovers."""
    trip(breaker, retry_after=0.05)
    eventually(lambda: breaker.status().state == "half-open")


class Running:
    """A command in a process of its own, its lines as they come."""

    def __init__(self, *words: str, env: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "breaker", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=env,
            text=True,
        )
        self.out: queue.Queue[str] = queue.Queue()
        self.err: queue.Queue[str] = queue.Queue()
        streams = ((self.process.stdout, self.out), (self.process.stderr, self.err))
        self.readers = [threading.Thread(target=read, args=pair) for pair in streams]
        for reader in self.readers:
            reader.start()

    def line(self, *wanted: str, stderr: bool = False) -> str:
        """The next line that has all the words; fails with what came instead."""
        seen = []
        lines = self.err if stderr else self.out
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with contextlib.suppress(queue.Empty):
                seen.append(lines.get(timeout=0.1))
                if all(word in seen[-1] for word in wanted):
                    return seen[-1]
        raise AssertionError(f"no line with {wanted} in {seen}")

    def interrupt(self) -> int:
        """Press Ctrl-C; the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(PATIENCE)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for reader in self.readers:
            reader.join()
        for stream in (self.process.stdout, self.process.stderr):
            assert stream
            stream.close()


def read(stream: Any, lines: queue.Queue[str]) -> None:
    for line in stream:
        lines.put(line.rstrip("\n"))


@pytest.fixture
def start(url: str, prefix: str) -> Iterator[Callable[..., Running]]:
    """Start the command in a process of its own."""
    with contextlib.ExitStack() as started:

        def begin(*words: str, url: str = url) -> Running:
            env = os.environ | {"BREAKER_URL": url}
            running = Running("--prefix", prefix, *words, env=env)
            started.callback(running.close)
            return running

        yield begin
