"""An RQ worker that leaves a paused queue alone, with any of RQ's sync worker classes.

    class Worker(BreakerMixin, SimpleWorker): ...

    Worker(["other", "content"], connection=..., breakers={"content": Breaker("content")}).work()

The gate stands in `Queue.dequeue_any`, the one place where such a worker takes a job:

    before the pop   paused queues are left out, and a pop blocks for a second at most
    after the pop    a permit is taken; a job that gets none goes back, as if never popped
    after the job    the permit is told; a rate limited job goes back with its attempt
"""

import functools
import logging
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from types import FrameType
from typing import Any

import redis
from rq import Queue, Retry
from rq.exceptions import DequeueTimeout
from rq.job import Job
from rq.utils import now
from rq.worker import BaseWorker

from breaker import Breaker, BreakerOpen, Permit, StoreError, StoreUnavailable, rate_limit

# A worker that waits in a pop does not see its queue being paused, so it looks up so often.
LONGEST_POP = 1.0
# How soon a queue is looked at again that is paused, or whose probe another worker has.
SOON = 0.2
# RQ fails a job that has been given back more often.
ENDLESS = 1_000_000

_LOGGER = logging.getLogger("breaker")


class Gate:
    """What one worker may read, and the permit of the job that it has in hand."""

    def __init__(self, breakers: Mapping[str, Breaker]) -> None:
        self.is_stopping = False
        self._breakers = breakers
        self._permit: Permit | None = None
        self._look_again: dict[str, float] = {}

    def may_read(self, name: str) -> bool:
        """Whether a job of the queue may be popped now."""
        breaker = self._breakers.get(name)
        if breaker is None:
            return True
        return time.monotonic() >= self._look_again.get(name, 0.0) and not breaker.is_paused()

    def admit(self, name: str) -> bool:
        """Take a permit for the job just popped. The queue may have been paused meanwhile."""
        self._permit = None
        breaker = self._breakers.get(name)
        if breaker is not None:
            try:
                self._permit = breaker.acquire(timeout=0)
            except BreakerOpen:
                self._look_again[name] = time.monotonic() + SOON
                return False
        return True

    def take_permit(self) -> Permit | None:
        """The permit of the job in hand, once."""
        permit, self._permit = self._permit, None
        return permit


class BreakerMixin(BaseWorker):
    """Mix in before a worker class of RQ.

    Args:
        breakers: the breaker of each guarded queue, by the queue's name.
    """

    def __init__(self, *args: Any, breakers: Mapping[str, Breaker], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.gate = Gate(breakers)
        # Wrapped and not replaced, for `rq worker` always names a class, perhaps the user's.
        self.queue_class = gated(self.queue_class, self.gate)

    def request_stop(self, _signum: int, _frame: FrameType | None) -> None:
        """End after the job at hand, or within a second.

        RQ would raise out of a pop, and a job that has just been popped would be lost.
        """
        signal.signal(signal.SIGINT, self.request_force_stop)
        signal.signal(signal.SIGTERM, self.request_force_stop)
        self._shutdown_requested_date = now()
        self.handle_warm_shutdown_request()  # type: ignore[no-untyped-call]
        self._stop_requested = self.gate.is_stopping = True

    def perform_job(self, job: Job, queue: Queue, *rest: Any) -> bool:
        """Run the job under its permit."""
        permit = self.gate.take_permit()
        if permit is not None:
            # The one seam between what a job raises or returns and what RQ makes of it.
            guarded = functools.partial(perform_guarded, job, permit, job.perform)
            job.perform = guarded  # type: ignore[method-assign]
        return super().perform_job(job, queue, *rest)


def gated(queue_class: type[Queue], gate: Gate) -> type[Queue]:
    """The queue class, popping only what the gate lets through."""

    class GatedQueue(queue_class):  # type: ignore[misc, valid-type]
        @classmethod
        def dequeue_any(
            cls, queues: Iterable[Queue], timeout: int | None, *args: Any, **kwargs: Any
        ) -> tuple[Job, Queue] | None:
            return dequeue(gate, super().dequeue_any, list(queues), timeout, *args, **kwargs)

    return GatedQueue


def dequeue(
    gate: Gate,
    pop: Callable[..., tuple[Job, Queue] | None],
    queues: list[Queue],
    timeout: int | None,
    *args: Any,
    **kwargs: Any,
) -> tuple[Job, Queue] | None:
    """Pop a job that may run.

    Raises:
        DequeueTimeout: there was none in time; the worker sends its heartbeat and asks again.
        redis.ConnectionError: the breaker's store is away; the worker waits, then asks again.
    """
    block = None if timeout is None else min(timeout, LONGEST_POP)
    deadline = time.monotonic() + (block or 0.0)
    try:
        while not gate.is_stopping:
            readable = [queue for queue in queues if gate.may_read(queue.name)]
            if not readable:
                if block is None:
                    return None
                if time.monotonic() >= deadline:
                    raise DequeueTimeout(block, [queue.key for queue in queues])
                time.sleep(min(SOON, block))
                continue
            found = pop(readable, block, *args, **kwargs)
            is_narrowed = len(readable) == 1 < len(queues)
            if found is None or _is_admitted(gate, *found, is_narrowed=is_narrowed):
                return found
    except StoreUnavailable as error:
        raise redis.ConnectionError(str(error)) from error
    return None


def _is_admitted(gate: Gate, job: Job, queue: Queue, *, is_narrowed: bool) -> bool:
    """Take the job's permit, or give the job back.

    Of a single queue RQ pops through a list of jobs on their way. It clears that only where the
    worker itself has a single queue; what it finds there later it takes for stuck, and fails.
    """
    is_admitted = False
    try:
        is_admitted = gate.admit(queue.name)
    finally:
        with queue.connection.pipeline() as both:
            if not is_admitted:
                queue.push_job_id(job.id, pipeline=both, at_front=True)
            if is_narrowed or not is_admitted:
                both.lrem(queue.intermediate_queue.key, 1, job.id)
            both.execute()
    return is_admitted


def perform_guarded(job: Job, permit: Permit, perform: Callable[[], Any]) -> Any:
    """Run a job, tell its permit, and give it back with its attempt if it was rate limited."""
    try:
        result = perform()
    except BaseException as error:
        limited = rate_limit(error)
        if limited is None or limited.kind != "rate_limit":
            _report(permit.release)
            raise
        _report(functools.partial(permit.rate_limited, limited.retry_after))
        # RQ counts a job that returns Retry as retried once more. Its own `retries_left`, the
        # attempts the user has given it, is not touched.
        job.number_of_retries = (job.number_of_retries or 0) - 1
        return Retry(max=ENDLESS, enqueue_at_front=True)
    _report(permit.success)
    return result


def _report(report: Callable[[], object]) -> None:
    """A job that is done stays done, also if nobody can be told."""
    try:
        report()
    except StoreError:
        _LOGGER.exception("the result of a job could not be reported")
