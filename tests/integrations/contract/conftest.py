"""Everything a contract test needs: two servers, an upstream, a fleet, and a feed of `other`."""

import gzip
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Self, TypeVar

import pytest
import redis

from breaker import Breaker, StoreUnavailable
from breaker.embedded import EmbeddedStore
from tests.contract.waiting import eventually
from tests.integrations import fleets
from tests.integrations.fleets import Fleet
from tests.integrations.postgres import PROGRAMS, Postgres
from tests.integrations.rabbit import PROGRAM, Rabbit
from tests.integrations.upstream import Upstream
from tests.servers import absent

# Seconds that a condition may take to come true on a busy machine.
DEADLINE = 60.0
T = TypeVar("T")
REPORT = Path(__file__).parents[3] / "build" / "integrations.jsonl"


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


@pytest.fixture(scope="session")
def rabbit() -> Iterator[Rabbit]:
    if not PROGRAM.exists():
        absent("RabbitMQ is not installed (on Debian: apt install rabbitmq-server)")
    with Rabbit() as rabbit:
        yield rabbit


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    if PROGRAMS is None:
        absent("PostgreSQL is not installed (on Debian: apt install postgresql)")
    with Postgres() as postgres:
        yield postgres


class RedisBroker(EmbeddedStore):
    """A broker that is there for one test."""

    def drop_connections(self) -> None:
        """Close every connection, as a restart would."""
        with redis.Redis.from_url(self.url) as client:
            client.client_kill_filter(_type="normal", skipme=True)


Broker = RedisBroker | Rabbit | Postgres


@pytest.fixture
def broker(request: pytest.FixtureRequest, kind: str) -> Iterator[Broker]:
    """The broker of a kind of fleet, without a message."""
    needs = fleets.KINDS[kind].needs
    if needs == "redis":
        with RedisBroker() as server:
            yield server
        return
    shared = request.getfixturevalue({"rabbitmq": "rabbit", "postgresql": "postgres"}[needs])
    yield shared
    shared.forget()


@pytest.fixture
def breaker(store: EmbeddedStore) -> Iterator[Breaker]:
    """The breaker of `content`, to look and to steer."""
    with Breaker("content", url=store.url, push=False) as breaker:
        yield breaker


@pytest.fixture
def start(
    store: EmbeddedStore, broker: Broker, upstream: Upstream
) -> Iterator[Callable[..., Fleet]]:
    """Start a fleet by its name; the broker and the store are different servers."""
    started: list[Fleet] = []

    def start(name: str, *, workers: int = 2, **environment: str) -> Fleet:
        fleet: Fleet = fleets.KINDS[name](broker.url, store.url, upstream.url, **environment)
        started.append(fleet)
        fleet.start(workers)
        return fleet

    yield start
    for fleet in started:
        fleet.end()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Show with a failure what the workers printed."""
    report = yield
    if report.when == "call" and report.failed and (fleet := getattr(item, "fleet", None)):
        report.sections.append(("workers", fleet.said()))
    return report


class Sentry:
    """A Sentry that keeps the events it is sent, one JSON text for each."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def __enter__(self) -> Self:
        sentry = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                sentry.take(body)
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.dsn = f"http://key@127.0.0.1:{self._server.server_port}/1"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def take(self, envelope: bytes) -> None:
        """Keep the events of an envelope: lines of a header, each followed by its item."""
        lines = envelope.decode(errors="replace").split("\n")
        for header, item in pairwise(lines):
            if header.startswith("{") and '"type":"event"' in header.replace(" ", ""):
                self.events.append(item)


@pytest.fixture
def sentry() -> Iterator[Sentry]:
    with Sentry() as sentry:
        yield sentry


class Feed:
    """Sends jobs of `other` all the time, and notes how late the machine lets it."""

    def __init__(self, fleet: Fleet, every: float = 0.1) -> None:
        self.sent = 0
        self.latest = 0.0
        self._fleet, self._every = fleet, every
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            self.latest = max(self.latest, time.monotonic() - due)
            self._fleet.send("other", f"o{self.sent}")
            self.sent += 1
            due += self._every

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def wait_for(look: Callable[[], T]) -> T:
    """Wait for a condition. On a busy machine a store may answer later than a breaker waits."""

    def patiently() -> T | None:
        try:
            return look()
        except StoreUnavailable:
            return None

    seen = eventually(patiently, DEADLINE)
    assert seen is not None
    return seen


def note(kind: str, **figures: float) -> None:
    """Add figures to the report, from which the table in the documentation is made."""
    REPORT.parent.mkdir(exist_ok=True)
    with REPORT.open("a") as report:
        rounded = {name: round(value, 3) for name, value in figures.items()}
        report.write(json.dumps({"kind": kind, **rounded}) + "\n")
