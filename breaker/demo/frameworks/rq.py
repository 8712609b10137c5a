"""The demo's fleet of RQ workers, the default. RQ itself knows where each job is: see the ledger."""

from typing import Any

import redis
from rq import Queue, SimpleWorker
from rq.job import Job

from breaker.demo.frameworks.job import BEGUN, CONTENT, OTHER, READY
from breaker.integrations.rq import install


class DemoWorker(SimpleWorker):
    """RQ's worker that runs jobs in its own process: a fork for each would cost more than it."""

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Count the job for the view, then run it."""
        self.connection.hincrby(BEGUN, f"{self.name} {queue.name}", 1)
        super().execute_job(job, queue)


def work(name: str, url: str, settings: dict[str, Any] | None) -> None:
    """Drain both queues until asked to stop; settings of None mean no breaker.

    `other` comes first, as a queue does that must not wait for a long backlog.
    """
    connection = redis.Redis.from_url(url)
    worker = DemoWorker([OTHER, CONTENT], name=name, connection=connection)
    if settings is None:
        install(worker, queues=lambda _queue: None)
    else:
        install(worker, queues=[CONTENT], url=url, worker=name, **settings)
    connection.sadd(READY, name)
    worker.work(logging_level="CRITICAL")
