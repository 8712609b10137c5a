"""`breaker serve` as a real process, for the tests that talk to it over HTTP."""

import contextlib
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email.message import Message

SERVE = (sys.executable, "-c", "from breaker.cli import main; main()", "serve")
PATIENCE = 15.0


@dataclass
class Service:
    """A process that serves, and what it wrote until it did."""

    process: subprocess.Popen[str]
    url: str

    def get(self, path: str, accept: str = "*/*") -> tuple[int, Message, str]:
        """Status, headers, body."""
        request = urllib.request.Request(self.url + path, headers={"Accept": accept})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=PATIENCE) as answer:
                return answer.status, answer.headers, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, error.read().decode()


@contextlib.contextmanager
def serving(url: str, *options: str, command: Sequence[str] = SERVE) -> Iterator[Service]:
    """Run it on a free port of the loopback."""
    arguments = ("--host", "127.0.0.1", "--port", "0", "--url", url, *options)
    process = subprocess.Popen([*command, *arguments], stderr=subprocess.PIPE, text=True)
    try:
        yield Service(process, _address_of(process))
    finally:
        process.kill()
        process.communicate()


def _address_of(process: subprocess.Popen[str]) -> str:
    assert process.stderr
    said = []
    for line in process.stderr:
        said.append(line)
        if found := re.search(r"serving (http://\S+),", line):
            return found[1]
    raise AssertionError(f"it did not start:\n{''.join(said)}")
