"""A broker, a store, an upstream, stock Node workers and bridges, each a process of its own."""

import asyncio
import fcntl
import shutil
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from breaker import Breaker
from tests.integrations.fleets import ROOT, Process
from tests.integrations.upstream import Upstream
from tests.servers import Server, absent

NODE = Path(__file__).parent / "node"
EXAMPLE = ROOT / "examples" / "bullmq-node"
INSTALLED = ROOT / "build" / "bullmq-node"


@pytest.fixture(scope="session")
def node() -> Path:
    """A folder with the worker, and with what it needs from npm."""
    if not shutil.which("npm") or not shutil.which("node"):
        absent("Node is not installed (on Debian: apt install nodejs npm)")
    INSTALLED.mkdir(parents=True, exist_ok=True)
    with (INSTALLED / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = (NODE / "package-lock.json").read_text()
        stamp = INSTALLED / ".installed"
        if not stamp.exists() or stamp.read_text() != wanted:
            for name in ("package.json", "package-lock.json"):
                shutil.copy(NODE / name, INSTALLED)
            command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            subprocess.run(command, cwd=INSTALLED, check=True, timeout=120, capture_output=True)
            stamp.write_text(wanted)
        shutil.copy(NODE / "worker.mjs", INSTALLED)
        shutil.copytree(EXAMPLE, INSTALLED / "example", dirs_exist_ok=True)
    return INSTALLED


@pytest.fixture
def broker(new_server) -> Server:
    return new_server("--appendonly", "yes", "--appendfsync", "always")


@pytest.fixture
def store(new_server) -> Server:
    return new_server()


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


@pytest.fixture
def breaker(store: Server) -> Iterator[Breaker]:
    """The breaker of `content`, to look and to steer."""
    with Breaker("content", url=store.url, push=False, declare=False) as breaker:
        yield breaker


class Setting:
    """The whole setting of a test."""

    def __init__(self, node: Path, broker: Server, store: Server, upstream: Upstream) -> None:
        self.node = node
        self.broker = broker
        self.environment = {
            "BROKER": broker.url,
            "BREAKER_URL": store.url,
            "UPSTREAM": upstream.url,
        }
        self.processes: list[Process] = []

    def workers(
        self, count: int = 2, program: str = "worker.mjs", **environment: str
    ) -> list[Process]:
        command = ["node", str(self.node / program)]
        return [self.start(command, **environment) for _ in range(count)]

    def bridge(self, *words: str, **environment: str) -> Process:
        command = [sys.executable, "-m", "breaker", "bridge", "bullmq", "content"]
        return self.start([*command, "--broker", self.broker.url, *words], **environment)

    def dying_bridge(self, program: str, *words: str) -> Process:
        command = [sys.executable, "-c", program, *words, "bridge", "bullmq", "content"]
        return self.start([*command, "--broker", self.broker.url])

    def start(self, command: list[str], **environment: str) -> Process:
        process = Process(command, self.environment | environment)
        self.processes.append(process)
        return process

    def add(self, count: int, queue: str = "content", first: int = 0, **options: Any) -> None:
        jobs = [
            {"name": "job", "data": {"job": f"{queue[0]}{number}"}, "opts": options}
            for number in range(first, first + count)
        ]
        self.ask(lambda it: it.addBulk(jobs), queue)

    def ask(self, do: Callable[[Any], Awaitable[Any]], queue: str = "content") -> Any:
        """Call BullMQ's own Queue, as a person or a producer does."""
        from bullmq import Queue

        async def run() -> Any:
            client = Redis.from_url(self.broker.url, decode_responses=True)
            try:
                return await do(Queue(queue, {"connection": client}))
            finally:
                await client.aclose()

        return asyncio.run(run())

    def is_paused(self) -> bool:
        return self.ask(lambda queue: queue.isPaused())

    def counts(self) -> dict[str, int]:
        kinds = ("wait", "paused", "delayed", "active", "failed", "completed")
        return self.ask(lambda queue: queue.getJobCounts(*kinds))

    def said(self) -> str:
        return "\n\n".join(process.said()[-4000:] for process in self.processes)


@pytest.fixture
def setting(node, broker, store, upstream, request) -> Iterator[Setting]:
    setting = Setting(node, broker, store, upstream)
    request.node.setting = setting
    yield setting
    for process in setting.processes:
        process.end()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Show with a failure what the workers and the bridges printed."""
    report = yield
    if report.when == "call" and report.failed and (setting := getattr(item, "setting", None)):
        report.sections.append(("processes", setting.said()))
    return report
