"""What the blocks of the documentation talk to: a store, and an upstream that answers 429."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.docs.pages import ROOT, Block


class Refusing(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(429)
        self.send_header("Retry-After", "30")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="session")
def upstream() -> Iterator[str]:
    """The address of an API that refuses every call."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(url: str, upstream: str, name: str) -> Run:
    """Run a block in a Python of its own; `before` is code that runs first."""
    surroundings = {
        key: value for key, value in os.environ.items() if not key.startswith("BREAKER_")
    }

    def running(block: Block, before: str = "") -> "subprocess.CompletedProcess[str]":
        program = block.program(store=url, upstream=upstream, name=name)
        return subprocess.run(
            [sys.executable, "-W", "error", "-"],
            input=f"{before}\n{program}",
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
            cwd=ROOT,
            env=surroundings,
        )

    return running
