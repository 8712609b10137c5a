"""The demo's fleet of Huey consumers, each of which runs one task at a time of each queue."""

import signal
import threading
from typing import Any

import redis
from huey import RedisHuey
from huey.signals import SIGNAL_ERROR

from breaker.demo.frameworks.job import CONTENT, OTHER, Marks
from breaker.demo.ledger import RETRIES
from breaker.integrations.huey import install


class Broker:
    """Huey with Redis; a huey is one queue."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._marks = Marks(url)
        self._hueys = {queue: RedisHuey(queue, url=url) for queue in (CONTENT, OTHER)}
        self._tasks = {queue: self._task(huey) for queue, huey in self._hueys.items()}

    def send(self, queue: str, job: str, url: str) -> None:
        """Enqueue a task."""
        self._tasks[queue](queue, job, url)

    def pending(self, _connection: redis.Redis, queue: str) -> int:
        """The tasks that are waiting, now or for later."""
        huey = self._hueys[queue]
        return int(huey.pending_count() + huey.scheduled_count())

    def work(self, name: str, settings: dict[str, Any] | None) -> None:
        """Drain both queues until asked to stop."""
        if settings is not None:
            install(self._hueys[CONTENT], url=self._url, worker=name, **settings)
        consumers = [huey.create_consumer(workers=1) for huey in self._hueys.values()]
        for consumer in consumers:
            consumer.start()
        asked = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: asked.set())
        self._marks.ready(name)
        asked.wait()
        for consumer in consumers:
            consumer.stop_flag.set()
        for consumer in consumers:
            consumer.stop(graceful=True)

    def _task(self, huey: RedisHuey) -> Any:
        def give_up(_signal: str, task: Any, _error: BaseException | None = None) -> None:
            if not task.retries:
                self._marks.failed(task.args[0], task.args[1])

        huey.signal(SIGNAL_ERROR)(give_up)

        def run(queue: str, job: str, url: str) -> None:
            self._marks.run(queue, job, url)

        return huey.task(retries=RETRIES)(run)
