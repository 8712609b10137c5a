"""An RQ worker that leaves a paused queue alone, with any of RQ's sync worker classes.

    class Worker(BreakerMixin, SimpleWorker): ...

    Worker(["other", "content"], connection=..., breakers={"content": Breaker("content")}).work()

The gate stands in `Queue.dequeue_any`, the one place where such a worker takes a job:

    before the pop   a permit is taken; a queue that gives none is left out until it is due
    after the pop    if the queue was paused meanwhile, the job goes back, as if never popped
    after the job    the permit is told; a rate limited job goes back with its attempt

So no job waits in a worker's hand for its slot of a paced recovery, and no worker waits for a slot
while another queue has jobs.
"""

import contextlib
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

# A worker that waits does not see its queue being paused or resumed, so it looks up so often. It
# is also how old a permit may get before its job comes.
LONGEST_POP = 1.0
# Some servers take a shorter one for one without an end.
SHORTEST_POP = 0.01
# RQ fails a job that has been given back more often.
ENDLESS = 1_000_000

_LOGGER = logging.getLogger("breaker")


class Gate:
    """What one worker may read, and the permit of the job that it has in hand."""

    def __init__(self, breakers: Mapping[str, Breaker]) -> None:
        self.is_stopping = False
        self._breakers = breakers
        self._permits: dict[str, Permit] = {}
        self._in_hand: Permit | None = None
        self._due: dict[str, float] = {}

    def may_read(self, name: str) -> bool:
        """Whether a job of the queue may be popped now; its permit is then kept for it."""
        breaker = self._breakers.get(name)
        if breaker is None or name in self._permits:
            return True
        if time.monotonic() < self._due.get(name, 0.0):
            return False
        try:
            self._permits[name] = breaker.acquire(timeout=0)
        except BreakerOpen as error:
            wait = LONGEST_POP if error.retry_after is None else error.retry_after
            self._due[name] = time.monotonic() + min(wait, LONGEST_POP)
            return False
        return True

    def next_look(self, name: str) -> float:
        """Seconds until it is worth asking for a permit again."""
        return max(SHORTEST_POP, self._due.get(name, 0.0) - time.monotonic())

    def admit(self, name: str) -> bool:
        """Whether the job just popped may run. The queue may have been paused meanwhile."""
        self._in_hand = None
        breaker = self._breakers.get(name)
        if breaker is None:
            return True
        if breaker.is_paused():
            self.give_back()
            return False
        self._in_hand = self._permits.pop(name)
        return True

    def give_back(self) -> None:
        """Let go of the permits that no job came for: others may wait for the probe."""
        while self._permits:
            _, permit = self._permits.popitem()
            _report(permit.release)

    def take_permit(self) -> Permit | None:
        """The permit of the job in hand, once."""
        permit, self._in_hand = self._in_hand, None
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
            pop = super().dequeue_any
            return dequeue(
                gate,
                lambda readable, block: pop(readable, block, *args, **kwargs),
                list(queues),
                timeout,
            )

    return GatedQueue


Pop = Callable[[list[Queue], float | None], tuple[Job, Queue] | None]


def dequeue(
    gate: Gate, pop: Pop, queues: list[Queue], timeout: float | None
) -> tuple[Job, Queue] | None:
    """Pop a job that may run.

    Raises:
        DequeueTimeout: there was none in time; the worker sends its heartbeat and asks again.
        redis.ConnectionError: the breaker's store is away; the worker waits, then asks again.
    """
    block = 0.0 if timeout is None else min(timeout, LONGEST_POP)
    deadline = time.monotonic() + block
    try:
        while not gate.is_stopping:
            found = _pop_in_order(gate, pop, queues)
            if found is None and (left := deadline - time.monotonic()) > 0:
                found = _await_job(gate, pop, queues, left)
            if found is not None or timeout is None:
                return found
            if time.monotonic() >= deadline:
                raise DequeueTimeout(block, [queue.key for queue in queues])
    except StoreUnavailable as error:
        raise redis.ConnectionError(str(error)) from error
    finally:
        gate.give_back()
    return None


def _pop_in_order(gate: Gate, pop: Pop, queues: list[Queue]) -> tuple[Job, Queue] | None:
    """Pop what is there, one queue at a time: no slot is taken while a queue ahead has jobs."""
    for queue in queues:
        if gate.may_read(queue.name):
            found = pop([queue], None)
            if found and _is_admitted(gate, *found, is_narrowed=len(queues) > 1):
                return found
    return None


def _await_job(
    gate: Gate, pop: Pop, queues: list[Queue], left: float
) -> tuple[Job, Queue] | None:
    """Wait for a job of the queues that may be read, until another may."""
    readable = [queue for queue in queues if gate.may_read(queue.name)]
    looks = [gate.next_look(queue.name) for queue in queues if queue not in readable]
    seconds = max(SHORTEST_POP, min([left, *looks]))
    if not readable:
        time.sleep(seconds)
        return None
    with contextlib.suppress(DequeueTimeout):
        found = pop(readable, seconds)
        is_narrowed = len(readable) == 1 < len(queues)
        if found and _is_admitted(gate, *found, is_narrowed=is_narrowed):
            return found
    return None


def _is_admitted(gate: Gate, job: Job, queue: Queue, *, is_narrowed: bool) -> bool:
    """Let the job run, or give it back.

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
