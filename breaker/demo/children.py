"""The demo's processes. They cannot outlive it, and are ended by their ids."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from typing import IO

from breaker.embedded import tethered

# Seconds that a process may take to start, on a busy machine.
START = 30.0
# Seconds that a process may take to finish what it has begun, at the end.
STOP = 5.0


class ChildFailedError(Exception):
    """A process of the demo ended by itself; the message ends with its output."""


class Child:
    """One process, running a module of this package."""

    def __init__(self, name: str, module: str, *arguments: str) -> None:
        self.name = name
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - see stop_all
        self.process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            tethered([sys.executable, "-m", module, *arguments]),
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=self._said,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for the demo, which then ends them in order
        )

    def said(self) -> str:
        """All of its output so far."""
        # Not by seek and read: both processes share the file's position, and the child writes there.
        size = os.fstat(self._said.fileno()).st_size
        return os.pread(self._said.fileno(), size, 0).decode(errors="replace")

    def close(self) -> None:
        """Close the file with its output."""
        self._said.close()

    def check(self) -> None:
        """Check that it still runs.

        Raises:
            ChildFailedError: it has ended.
        """
        code = self.process.poll()
        if code is not None:
            said = self.said()[-2000:] or "(no output)"
            raise ChildFailedError(
                f"{self.name} ended by itself, with exit code {code}. {said}"
            )

    def first_line(self) -> str:
        """Wait for its first line.

        Raises:
            ChildFailedError: it ended, or printed nothing in time.
        """
        deadline = time.monotonic() + START
        while "\n" not in self.said():
            self.check()
            if time.monotonic() > deadline:
                raise ChildFailedError(f"{self.name} printed nothing within {START:g} s")
            time.sleep(0.01)
        return self.said().splitlines()[0]


def stop_all(children: Iterable[Child]) -> None:
    """Terminate all processes, and kill those that do not end in time."""
    ending = list(children)
    for child in ending:
        child.process.terminate()
    deadline = time.monotonic() + STOP
    try:
        for child in ending:
            child.process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        pass
    finally:
        for child in ending:
            child.process.kill()
            child.process.wait()
            child.close()


def _environment() -> dict[str, str]:
    """This process's environment, without options that are set for other breakers."""
    return {key: value for key, value in os.environ.items() if not key.startswith("BREAKER_")}
