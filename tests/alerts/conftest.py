import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.alerts.sink import Sink

HERE = Path(__file__).parent


@pytest.fixture
def sends_alerts():
    return True


@pytest.fixture
def sink():
    server = Sink()
    yield server
    server.stop()


@pytest.fixture
def start():
    """Start a script of this folder that ends with the test; returns when it prints a line."""
    with contextlib.ExitStack() as stack:

        def run(script, *args, **environment):
            process = subprocess.Popen(
                [sys.executable, str(HERE / script), *args],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=HERE.parents[1],
                env=os.environ | {"PYTHONPATH": str(HERE.parents[1])} | environment,
            )
            stack.enter_context(process)  # waits for it, and closes the pipes
            stack.callback(process.kill)
            assert process.stdout.readline() == "ready\n"
            return process

        yield run


@pytest.fixture
def kill_between():
    """Trip a breaker by a worker that is killed before it can tell."""

    def run(url, name):
        ended = subprocess.run(
            [sys.executable, str(HERE / "victim.py"), url, name],
            cwd=HERE.parents[1],
            env=os.environ | {"PYTHONPATH": str(HERE.parents[1])},
            check=False,
            timeout=60,
        )
        assert ended.returncode == -9

    return run
