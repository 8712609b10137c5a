"""The demo's fleet of Celery workers, each of which runs one task at a time."""

from typing import Any

import redis
from celery import Celery, Task, signals

from breaker.demo.frameworks.job import CONTENT, OTHER, Marks
from breaker.demo.ledger import RETRIES
from breaker.integrations.celery import install

TASK = "demo.job"


class Broker:
    """Celery with Redis."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._app = Celery("demo", broker=url, set_as_current=False)
        self._app.conf.update(
            task_ignore_result=True,
            broker_connection_retry_on_startup=True,
            worker_hijack_root_logger=False,
        )

    def send(self, queue: str, job: str, url: str) -> None:
        """Enqueue a task."""
        self._app.send_task(TASK, (queue, job, url), queue=queue)

    def pending(self, connection: redis.Redis, queue: str) -> int:
        """The tasks in the queue: a worker that ends gives back what it holds."""
        return int(connection.llen(queue))

    def work(self, name: str, settings: dict[str, Any] | None) -> None:
        """Drain both queues until asked to stop."""
        marks = Marks(self._url)
        if settings is not None:
            install(self._app, queues=[CONTENT], url=self._url, worker=name, **settings)

        class Job(Task):
            def on_failure(self, _error: Any, _id: str, args: Any, *_: Any) -> None:
                marks.failed(args[0], args[1])

        def run(queue: str, job: str, url: str) -> None:
            marks.run(queue, job, url)

        retry = {"max_retries": RETRIES, "countdown": 0}
        self._app.task(run, name=TASK, base=Job, autoretry_for=(Exception,), retry_kwargs=retry)

        def tell(**_: Any) -> None:
            marks.ready(name)

        signals.worker_ready.connect(tell)
        quiet = ["--without-mingle", "--without-gossip", "-l", "CRITICAL"]
        queues = ["-Q", f"{OTHER},{CONTENT}"]
        self._app.worker_main(["worker", "-P", "solo", *queues, "-n", f"{name}@demo", *quiet])
