"""Fleets of real worker processes, one class for each framework; the contract drives them alike."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import IO

import redis

ROOT = Path(__file__).parents[2]
APPS = "tests.integrations.apps"


class Process:
    """A worker process, in a group of its own with all its children."""

    def __init__(self, command: list[str], environment: Mapping[str, str]) -> None:
        self.log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by end()
        self.popen = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def said(self) -> str:
        size = os.fstat(self.log.fileno()).st_size
        return os.pread(self.log.fileno(), size, 0).decode(errors="replace")

    def signal(self, number: int) -> None:
        self.popen.send_signal(number)

    def kill(self) -> None:
        """End it with all its children, as a machine does that goes down."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait()

    def end(self) -> None:
        self.kill()
        self.log.close()

    def cpu(self) -> float:
        """Seconds of processor time of the process and its living children."""
        return sum(_cpu(pid) for pid in _family(self.popen.pid))


def _family(pid: int) -> list[int]:
    found = [pid]
    for each in found:
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{each}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
    return found


def _cpu(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Fleet:
    """Workers of one framework.

    Args:
        broker: URL of the framework's broker.
        store: URL of the breaker's store.
        upstream: URL of the upstream.
        options: Breaker's own, as environment variables.
    """

    # Jobs that one worker runs at a time.
    slots = 1
    # Whether a worker reads one queue only; then one process beside the workers reads `other`.
    is_one_queue = False
    # Whether all of the contract is run with it, and not only the trip and the start.
    is_main = False
    # Whether only the trip is run with it.
    is_brief = False
    exit_codes = (0,)
    # Whether its workers outlive a lost connection to the broker.
    reconnects = True
    # Its broker: "redis", "rabbitmq" or "postgresql".
    needs = "redis"
    # How many jobs the trip needs, and the seconds between two jobs of `other` meanwhile.
    jobs = 160
    every = 0.1
    # Seconds that a job may run: less than a pause, so that no timeout can run during it.
    job_timeout = 3

    def __init__(self, broker: str, store: str, upstream: str, **environment: str) -> None:
        self.broker = broker
        self.environment = {
            "BROKER": broker,
            "BREAKER_URL": store,
            "UPSTREAM": upstream,
            "PYTHONPATH": str(ROOT),
            **environment,
        }
        # The workers of `content`, and what runs beside them.
        self.processes: list[Process] = []
        self.beside: list[Process] = []

    def command(self, number: int) -> list[str]:
        raise NotImplementedError

    def command_of_other(self) -> list[str]:
        raise NotImplementedError

    def send(self, queue: str, job: str) -> None:
        raise NotImplementedError

    def start(self, count: int = 2) -> None:
        for _ in range(count):
            self.processes.append(self.process(self.command(len(self.processes))))
        if self.is_one_queue and not self.beside:
            self.beside.append(self.process(self.command_of_other()))

    def process(self, command: list[str]) -> Process:
        return Process([sys.executable, "-m", *command], self.environment)

    def end(self) -> None:
        for process in self.processes + self.beside:
            process.end()

    def said(self) -> str:
        return "\n\n".join(each.said()[-6000:] for each in self.processes + self.beside)


class CeleryFleet(Fleet):
    is_main = True
    pool = "prefork"
    slots = 2
    task = "content"

    def __init__(self, broker: str, store: str, upstream: str, **environment: str) -> None:
        super().__init__(broker, store, upstream, **environment)
        from celery import Celery

        self.app = Celery("sender", broker=broker)

    def command(self, number: int) -> list[str]:
        options = ["-P", self.pool, "-c", str(self.slots), "-n", f"w{number}@test"]
        quiet = ["--without-mingle", "--without-gossip", "-l", "INFO"]
        worker = ["-A", f"{APPS}.celery_app", "worker", "-Q", "content,other"]
        return ["celery", *worker, *options, *quiet]

    def send(self, queue: str, job: str) -> None:
        task = f"{APPS}.celery_app.{self.task if queue == 'content' else queue}"
        self.app.send_task(task, (job,), queue=queue)


class CeleryLate(CeleryFleet):
    is_main = False
    task = "eager"

    def __init__(self, *urls: str, **environment: str) -> None:
        super().__init__(*urls, **environment, ACKS_LATE="1")


class CeleryThreads(CeleryFleet):
    is_main = False
    pool = "threads"


class CelerySolo(CeleryFleet):
    is_main = False
    pool = "solo"
    slots = 1


class CeleryGevent(CeleryFleet):
    is_main = False
    pool = "gevent"


class CeleryRabbit(CeleryFleet):
    is_main = False
    needs = "rabbitmq"


class CeleryQuorum(CeleryRabbit):
    is_brief = True

    def __init__(self, *urls: str, **environment: str) -> None:
        from tests.integrations.apps.celery_queues import queues

        super().__init__(*urls, **environment, QUEUE_TYPE="quorum")
        self.app.conf.task_queues = queues("quorum")


class RqFleet(Fleet):
    is_main = True
    worker = "BreakerSimpleWorker"

    def __init__(self, broker: str, store: str, upstream: str, **environment: str) -> None:
        environment = {"BREAKER_QUEUES": "content"} | environment
        super().__init__(broker, store, upstream, **environment)
        self.connection = redis.Redis.from_url(broker)

    def command(self, _number: int) -> list[str]:
        worker = f"breaker.integrations.rq.{self.worker}"
        return ["rq.cli", "worker", "--url", self.broker, "-w", worker, "other", "content"]

    def send(self, queue: str, job: str) -> None:
        from rq import Queue

        from tests.integrations.apps import rq_app

        Queue(queue, connection=self.connection).enqueue(
            getattr(rq_app, queue), job, job_timeout=self.job_timeout
        )


class RqFork(RqFleet):
    is_main = False
    worker = "BreakerWorker"


class RqSpawn(RqFleet):
    is_main = False
    worker = "BreakerSpawnWorker"
    # A new interpreter for each job takes a good part of a second.
    jobs = 24
    every = 2.0


class RqScheduler(RqFork):
    """Its workers also run RQ's scheduler, in a process of its own."""

    is_brief = True

    def command(self, number: int) -> list[str]:
        return [*super().command(number), "--with-scheduler"]


class RqPool(RqFork):
    """RQ's pool of two worker processes."""

    is_brief = True

    def command(self, _number: int) -> list[str]:
        worker = f"breaker.integrations.rq.{self.worker}"
        options = ["--url", self.broker, "-w", worker, "-n", "2"]
        return ["rq.cli", "worker-pool", *options, "other", "content"]

    def start(self, count: int = 2) -> None:
        super().start(count // 2)


class DramatiqFleet(Fleet):
    is_main = True
    slots = 2

    def __init__(self, broker: str, store: str, upstream: str, **environment: str) -> None:
        super().__init__(broker, store, upstream, **environment)
        from tests.integrations.apps.dramatiq_broker import make_broker

        self.sender = make_broker(broker)
        for queue in ("content", "other"):
            self.sender.declare_queue(queue)

    def command(self, _number: int) -> list[str]:
        processes = ["--processes", "1", "--threads", str(self.slots)]
        return ["dramatiq", f"{APPS}.dramatiq_app", *processes]

    def send(self, queue: str, job: str) -> None:
        from dramatiq import Message

        self.sender.enqueue(
            Message(queue_name=queue, actor_name=queue, args=(job,), kwargs={}, options={})
        )


class DramatiqRabbit(DramatiqFleet):
    is_main = False
    needs = "rabbitmq"


class HueyFleet(Fleet):
    is_main = True
    is_one_queue = True
    slots = 2
    worker = "thread"

    def command(self, _number: int) -> list[str]:
        return self._consumer("content", self.worker)

    def command_of_other(self) -> list[str]:
        return self._consumer("other", "thread")

    def send(self, queue: str, job: str) -> None:
        from tests.integrations.apps.huey_app import make

        _, task = make(queue, self.broker)
        task(job)

    def _consumer(self, queue: str, worker: str) -> list[str]:
        options = ["-k", worker, "-w", str(self.slots)]
        return ["huey.bin.huey_consumer", f"{APPS}.huey_app.{queue}", *options]


class HueyProcess(HueyFleet):
    is_main = False
    worker = "process"


class HueyGreenlet(HueyFleet):
    is_main = False
    worker = "greenlet"

    def __init__(self, *urls: str, **environment: str) -> None:
        super().__init__(*urls, **environment, GEVENT="1")


class ProcrastinateFleet(Fleet):
    is_main = True
    needs = "postgresql"
    slots = 2
    task = "content"
    queues: tuple[str, ...] = ("-q", "content,other")

    def __init__(self, broker: str, store: str, upstream: str, **environment: str) -> None:
        super().__init__(broker, store, upstream, **environment)
        from procrastinate import App, SyncPsycopgConnector

        self.app = App(connector=SyncPsycopgConnector(conninfo=broker))
        self.app.open()

    def command(self, _number: int) -> list[str]:
        app = f"--app={APPS}.procrastinate_app.app"
        return ["procrastinate", app, "worker", *self.queues, "-c", str(self.slots)]

    def send(self, queue: str, job: str) -> None:
        task = self.task if queue == "content" else queue
        self.app.configure_task(task, queue=queue).defer(job=job)

    def end(self) -> None:
        super().end()
        self.app.close()


class ProcrastinateThreads(ProcrastinateFleet):
    """Its task is a plain function, and its workers read all queues."""

    is_main = False
    task = "blocking"
    queues = ()


class TaskiqFleet(Fleet):
    is_main = True
    is_one_queue = True
    slots = 2
    broker_kind = "stream"
    task = "content"

    def __init__(self, broker: str, store: str, upstream: str, **environment: str) -> None:
        super().__init__(broker, store, upstream, KIND=self.broker_kind, **environment)
        from tests.integrations.apps.taskiq_app import make

        self.loop, self.lock = asyncio.new_event_loop(), threading.Lock()
        self.senders = {
            queue: make(self.broker_kind, queue, broker) for queue in ("content", "other")
        }

    def command(self, _number: int) -> list[str]:
        return self._worker("content")

    def command_of_other(self) -> list[str]:
        return self._worker("other")

    def send(self, queue: str, job: str) -> None:
        broker = self.senders[queue]
        task = broker.find_task(self.task if queue == "content" else queue)
        with self.lock:  # the feed of `other` sends from a thread of its own
            self.loop.run_until_complete(task.kiq(job))

    def end(self) -> None:
        super().end()
        for broker in self.senders.values():
            self.loop.run_until_complete(broker.shutdown())
        self.loop.close()

    def _worker(self, queue: str) -> list[str]:
        options = ["--workers", "1", "--max-async-tasks", str(self.slots), "--max-fails", "3"]
        return ["taskiq", "worker", f"{APPS}.taskiq_app:{queue}", *options]


class TaskiqList(TaskiqFleet):
    """Its task is a plain function."""

    is_main = False
    broker_kind = "list"
    task = "content-blocking"


class SaqFleet(Fleet):
    is_main = True
    is_one_queue = True
    slots = 2

    def __init__(self, broker: str, store: str, upstream: str, **environment: str) -> None:
        super().__init__(broker, store, upstream, **environment)
        from saq import Queue

        self.loop, self.lock = asyncio.new_event_loop(), threading.Lock()
        self.senders = {
            queue: Queue.from_url(broker, name=queue) for queue in ("content", "other")
        }

    def command(self, _number: int) -> list[str]:
        return ["saq", f"{APPS}.saq_app.content_settings"]

    def command_of_other(self) -> list[str]:
        return ["saq", f"{APPS}.saq_app.other_settings"]

    def send(self, queue: str, job: str) -> None:
        with self.lock:  # the feed of `other` sends from a thread of its own
            self.loop.run_until_complete(self.senders[queue].enqueue(queue, job=job))

    def end(self) -> None:
        super().end()
        for sender in self.senders.values():
            self.loop.run_until_complete(sender.disconnect())
        self.loop.close()


class StreaqFleet(Fleet):
    is_main = True
    is_one_queue = True
    slots = 2
    # A worker of streaQ ends when its connection is lost.
    reconnects = False

    def __init__(self, broker: str, store: str, upstream: str, **environment: str) -> None:
        super().__init__(broker, store, upstream, **environment)
        from tests.integrations.apps.streaq_app import make

        self.senders = {queue: make(queue, broker) for queue in ("content", "other")}
        self.lock = threading.Lock()

    def command(self, _number: int) -> list[str]:
        return ["streaq", "run", f"{APPS}.streaq_app:content"]

    def command_of_other(self) -> list[str]:
        return ["streaq", "run", f"{APPS}.streaq_app:other"]

    def send(self, queue: str, job: str) -> None:
        async def enqueue() -> None:
            worker, task = self.senders[queue]
            async with worker:
                await task.enqueue(job)

        with self.lock:  # the feed of `other` sends from a thread of its own
            asyncio.run(enqueue())


class ArqFleet(Fleet):
    is_main = True
    is_one_queue = True
    slots = 2

    def command(self, _number: int) -> list[str]:
        return ["breaker.integrations.arq", f"{APPS}.arq_app.content_settings"]

    def command_of_other(self) -> list[str]:
        return ["arq", f"{APPS}.arq_app.other_settings"]

    def send(self, queue: str, job: str) -> None:
        from arq.connections import ArqRedis

        async def enqueue() -> None:
            async with ArqRedis.from_url(self.broker) as sender:
                await sender.enqueue_job(queue, job, _queue_name=queue)

        asyncio.run(enqueue())


KINDS: dict[str, type[Fleet]] = {
    "celery-prefork": CeleryFleet,
    "celery-prefork-late": CeleryLate,
    "celery-threads": CeleryThreads,
    "celery-solo": CelerySolo,
    "celery-gevent": CeleryGevent,
    "celery-rabbitmq": CeleryRabbit,
    "celery-quorum": CeleryQuorum,
    "dramatiq-redis": DramatiqFleet,
    "dramatiq-rabbitmq": DramatiqRabbit,
    "huey-thread": HueyFleet,
    "huey-process": HueyProcess,
    "huey-greenlet": HueyGreenlet,
    "procrastinate": ProcrastinateFleet,
    "procrastinate-threads": ProcrastinateThreads,
    "saq": SaqFleet,
    "streaq": StreaqFleet,
    "taskiq-stream": TaskiqFleet,
    "taskiq-list": TaskiqList,
    "rq-simple": RqFleet,
    "rq-fork": RqFork,
    "rq-spawn": RqSpawn,
    "rq-scheduler": RqScheduler,
    "rq-pool": RqPool,
}
# arq needs an older redis-py than the others, and so an environment of its own.
if find_spec("arq"):
    KINDS = {"arq": ArqFleet}
