"""Counts the jobs of a queue, each by its id, so that no lost job can hide in a sum."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import redis
from rq import Queue, Retry

from breaker.demo.frameworks import Broker
from breaker.demo.frameworks.job import done, failed

# Seconds for which RQ keeps a finished job; `settle` must see it before.
RESULT_TTL = 120
# Attempts after the first, with or without a breaker.
RETRIES = 3


@dataclass(frozen=True, slots=True)
class Tally:
    """Where the jobs of a queue are.

    Attributes:
        enqueued: all jobs so far.
        done: finished.
        waiting: in the queue, or taken by a worker.
        failed: without attempts left, in RQ's registry of failed jobs.
    """

    enqueued: int = 0
    done: int = 0
    waiting: int = 0
    failed: int = 0

    @property
    def lost(self) -> int:
        """Jobs that are in none of these places."""
        return self.enqueued - self.done - self.waiting - self.failed


class Ledger:
    """Enqueues the jobs of one queue and counts where they are."""

    def __init__(self, name: str, connection: redis.Redis) -> None:
        self._queue = Queue(name, connection=connection)
        self._open: set[str] = set()
        self.enqueued = 0
        self.done = 0

    def enqueue(self, function: Callable[..., None], arguments: Mapping[str, Any]) -> None:
        """Add a job, with its number as its id."""
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
        """Count the jobs that are done by now."""
        finished = self._open.intersection(self._queue.finished_job_registry.get_job_ids())
        self.done += len(finished)
        self._open -= finished

    def glance(self) -> Tally:
        """Where the jobs are, cheaply: those neither done nor failed count as waiting."""
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


class MarkedLedger:
    """Enqueues the jobs of one queue of any framework, and counts what they wrote down."""

    def __init__(self, name: str, broker: Broker, connection: redis.Redis) -> None:
        self._name = name
        self._broker = broker
        self._connection = connection
        self.enqueued = 0
        self.done = 0

    def enqueue(self, _function: Callable[..., None], arguments: Mapping[str, Any]) -> None:
        """Add a job, with its number as its id."""
        self.enqueued += 1
        job = f"{self._name}-{self.enqueued}"
        self._broker.send(self._name, job, arguments.get("url", ""))

    def settle(self) -> None:
        """Count the jobs that are done by now."""
        self.done = int(self._connection.scard(done(self._name)))

    def glance(self) -> Tally:
        """Where the jobs are, cheaply: those neither done nor failed count as waiting."""
        given_up = int(self._connection.scard(failed(self._name)))
        return Tally(self.enqueued, self.done, self.enqueued - self.done - given_up, given_up)

    def tally(self) -> Tally:
        """Where every job is. Exact while no worker runs."""
        self.settle()
        waiting = self._broker.pending(self._connection, self._name)
        given_up = int(self._connection.scard(failed(self._name)))
        return Tally(self.enqueued, self.done, waiting, given_up)
