"""The account of a queue's jobs: each by its id, so that a lost one cannot hide in a sum."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import redis
from rq import Queue, Retry

# RQ keeps a finished job for so many seconds; it must be seen within them.
RESULT_TTL = 120
# The attempts that a job has beyond its first, with or without a breaker.
RETRIES = 3


@dataclass(frozen=True, slots=True)
class Tally:
    """Where the jobs of a queue are.

    Attributes:
        enqueued: how many there ever were.
        done: finished.
        waiting: in the queue, or in a worker's hand.
        failed: out of attempts, in RQ's registry of failed jobs.
    """

    enqueued: int = 0
    done: int = 0
    waiting: int = 0
    failed: int = 0

    @property
    def lost(self) -> int:
        """Those that are nowhere."""
        return self.enqueued - self.done - self.waiting - self.failed


class Ledger:
    """Enqueues the jobs of one queue and follows them."""

    def __init__(self, name: str, connection: redis.Redis) -> None:
        self._queue = Queue(name, connection=connection)
        self._open: set[str] = set()
        self.enqueued = 0
        self.done = 0

    def enqueue(self, function: Callable[..., None], arguments: Mapping[str, Any]) -> None:
        """Add a job. Its number is its id too."""
        self.enqueued += 1
        job = self._queue.enqueue(
            function,
            kwargs=dict(arguments),
            job_id=f"{self._queue.name}-{self.enqueued}",
            retry=Retry(max=RETRIES),
            result_ttl=RESULT_TTL,
        )
        self._open.add(job.id)

    def settle(self) -> None:
        """Note which jobs are done."""
        finished = self._open.intersection(self._queue.finished_job_registry.get_job_ids())
        self.done += len(finished)
        self._open -= finished

    def glance(self) -> Tally:
        """Where the jobs are, cheaply: what is not done or failed is taken to be waiting."""
        failed = int(self._queue.failed_job_registry.count)
        return Tally(self.enqueued, self.done, len(self._open) - failed, failed)

    def tally(self) -> Tally:
        """Where every job is. Exact while no worker runs."""
        queue = self._queue
        failed = self._open.intersection(queue.failed_job_registry.get_job_ids(cleanup=False))
        started = queue.started_job_registry.get_job_ids(cleanup=False)
        waiting = self._open.intersection([*queue.get_job_ids(), *started]) - failed
        self.settle()
        return Tally(self.enqueued, self.done, len(waiting - failed), len(failed))
