"""RQ workers that leave a paused queue alone.

    BREAKER_QUEUES=content rq worker -w breaker.integrations.rq.BreakerWorker content other

or, where a program makes the worker itself, `install(worker, queues=["content"])` before it works.
For a worker class of one's own, mix `BreakerMixin` in before it.

The gate is around `Queue.dequeue_any`, the one place where such a worker takes a job:

    before the pop   a permit is acquired; a queue that gives none is left out until it is due
    after the pop    if the queue was paused meanwhile, the job goes back, as if never popped
    after the job    the permit is reported; a rate limited job goes back with its attempt

So no job waits in a worker's hands for its slot of a paced recovery, and no worker waits for a slot
while another queue has jobs.
"""

import contextlib
import functools
import json
import os
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from types import FrameType
from typing import Any

import redis

from breaker import ConfigurationError, Permit, StoreUnavailable
from breaker.integrations.gate import (
    ENVIRONMENT,
    Gate,
    Queues,
    acquire,
    extra,
    give_back,
    is_current,
)

with extra("rq", least="2.8"):
    from rq import Queue, Retry, SimpleWorker, Worker
    from rq.exceptions import DequeueTimeout
    from rq.job import Job
    from rq.utils import now
    from rq.worker import BaseWorker, SpawnWorker

# Longest blocking pop in seconds. During a pop the worker cannot notice a pause or a resume; it is
# also how old a permit can be when its job arrives.
LONGEST_POP = 1.0
# Shortest blocking pop in seconds; some servers take a shorter one for one without an end.
SHORTEST_POP = 0.01
# How often a job may be put back: RQ fails a job that was put back more often.
ENDLESS = 1_000_000

# Where a spawned process finds its queue, its permit and the gate's options.
CARRIED = "RQ_BREAKER_PERMIT"
LINE = ENVIRONMENT + "={}"


class Reader:
    """The queues that one worker may read now, and the permit of the job that it runs."""

    def __init__(self, gate: Gate) -> None:
        self.is_stopping = False
        self._gate = gate
        self._permits: dict[str, Permit] = {}
        self._in_hand: Permit | None = None
        self._due: dict[str, float] = {}

    def may_read(self, name: str) -> bool:
        """Whether a job of the queue may be popped now; its permit is then kept for it."""
        breaker = self._gate.breaker(name)
        if breaker is None or name in self._permits:
            return True
        if time.monotonic() < self._due.get(name, 0.0):
            return False
        permit, wait = acquire(breaker)
        if permit is None:
            self._due[name] = time.monotonic() + min(wait, LONGEST_POP)
            return False
        self._permits[name] = permit
        return True

    def next_look(self, name: str) -> float:
        """Seconds until it is worth asking for a permit again."""
        return max(SHORTEST_POP, self._due.get(name, 0.0) - time.monotonic())

    def admit(self, name: str) -> bool:
        """Whether the job just popped may run. The queue may have been paused meanwhile."""
        self._in_hand = self._permits.pop(name, None)
        if self._in_hand is None or is_current(self._in_hand):
            return True
        give_back(self._in_hand.unused)
        self._in_hand = None
        return False

    def give_back(self) -> None:
        """Release the permits for which no job arrived, so that other workers can use them."""
        while self._permits:
            _, permit = self._permits.popitem()
            give_back(permit.unused)

    def take_permit(self) -> Permit | None:
        """The permit of the job that runs now, once."""
        permit, self._in_hand = self._in_hand, None
        return permit


class BreakerMixin(BaseWorker):
    """Mix in before a worker class of RQ.

    Attributes:
        breaker_queues: which queues are guarded, as for `install`; None: BREAKER_QUEUES.
        breaker_options: the other arguments of `install`.
    """

    breaker_queues: Queues = None
    breaker_options: Mapping[str, Any] = {}

    # Made when first needed: RQ also makes workers only to look at their data.
    @functools.cached_property
    def gate(self) -> Gate:
        """The guarded queues."""
        return Gate(self.breaker_queues, line=LINE, **self.breaker_options)

    @functools.cached_property
    def reader(self) -> Reader:
        """The queues that this worker may read now."""
        return Reader(self.gate)

    def bootstrap(self, *args: Any, **kwargs: Any) -> None:
        """Check the configuration, then start."""
        self.gate.check_names(self.queue_names(), self._queues_elsewhere)
        super().bootstrap(*args, **kwargs)

    def dequeue_job_and_maintain_ttl(self, *args: Any, **kwargs: Any) -> Any:
        """Take a job that may run."""
        # Only for the time of a pop, so that the class of the worker's queues stays the user's.
        plain, self.queue_class = self.queue_class, self._gated_class
        try:
            return super().dequeue_job_and_maintain_ttl(*args, **kwargs)
        finally:
            self.queue_class = plain

    def request_stop(self, _signum: int, _frame: FrameType | None) -> None:
        """End after the job at hand, or within a second.

        RQ would raise out of a pop, and a job that has just been popped would be lost.
        """
        signal.signal(signal.SIGINT, self.request_force_stop)
        signal.signal(signal.SIGTERM, self.request_force_stop)
        self._shutdown_requested_date = now()
        self.handle_warm_shutdown_request()
        self._stop_requested = self.reader.is_stopping = True

    def perform_job(self, job: Job, queue: Queue, *rest: Any) -> bool:
        """Run the job under its permit."""
        permit = self.take_permit()
        if permit is not None:
            # The one seam between what a job raises or returns and what RQ makes of it.
            guarded = functools.partial(perform_guarded, self.gate, job, permit, job.perform)
            job.perform = guarded  # type: ignore[method-assign]
        return super().perform_job(job, queue, *rest)

    def take_permit(self) -> Permit | None:
        """The permit of the job that is to run now."""
        return self.reader.take_permit()

    @functools.cached_property
    def _gated_class(self) -> type[Queue]:
        return gated(self.queue_class, self.reader)

    def _queues_elsewhere(self) -> set[str]:
        """The queues that had a job at some time, and those that other workers read."""
        known = {queue.name for queue in Queue.all(connection=self.connection)}
        for worker in Worker.all(connection=self.connection):
            known |= set(worker.queue_names())
        return known


class BreakerWorker(BreakerMixin, Worker):
    """RQ's worker that forks for each job."""


class BreakerSimpleWorker(BreakerMixin, SimpleWorker):
    """RQ's worker that runs jobs in its own process."""


class BreakerSpawnWorker(BreakerMixin, SpawnWorker):
    """RQ's worker that spawns a process for each job; the permit travels in the environment.

    It needs RQ 3.0, whose spawned processes are workers of the same class.
    """

    def bootstrap(self, *args: Any, **kwargs: Any) -> None:
        """Check that the spawned processes can be told what they need."""
        with extra("rq", least="3.0"):
            pass
        try:
            json.dumps(dict(self.breaker_options))
        except TypeError as error:
            message = f"a SpawnWorker's options must be numbers and texts ({error}): give url="
            raise ConfigurationError([message]) from error
        super().bootstrap(*args, **kwargs)

    def fork_work_horse(self, job: Job, queue: Queue) -> None:
        """Spawn the process, with the permit in its environment."""
        permit = self.reader.take_permit()
        carried = permit and (self.gate.describe(queue.name), permit.export())
        os.environ[CARRIED] = json.dumps(carried)
        super().fork_work_horse(job, queue)

    def take_permit(self) -> Permit | None:
        """In the spawned process: what its environment carries."""
        carried = json.loads(os.environ.pop(CARRIED, "null"))
        if carried is None:
            return None
        given, text = carried
        self.gate = Gate(line=LINE, **given)
        (queue,) = self.gate.names
        breaker = self.gate.breaker(queue)
        return None if breaker is None else breaker.permit(text)


def install(worker: BaseWorker, /, queues: Queues = None, **options: Any) -> None:
    """Guard the queues of a worker, before it works.

    Args:
        worker: any of RQ's workers that are not asynchronous.
        queues: see `breaker.integrations.gate.Gate`.
        **options: `requeue`, and Breaker's own.

    Raises:
        ConfigurationError: naming everything that is wrong.
    """
    if isinstance(worker, BreakerMixin):
        raise ConfigurationError(["this worker is guarded already: call install only once"])
    gate = Gate(queues, line='install(worker, queues=["{}"])', **options)
    plain = type(worker)
    if not issubclass(plain, SpawnWorker):
        worker.__class__ = type(f"Breaker{plain.__name__}", (BreakerMixin, plain), {})
    elif plain is SpawnWorker:  # the spawned process must be able to import the class
        worker.__class__ = BreakerSpawnWorker
    else:
        message = f"write class YourWorker(BreakerMixin, {plain.__name__}) instead of install"
        raise ConfigurationError([message])
    vars(worker).update(gate=gate, breaker_options=options)


def gated(queue_class: type[Queue], reader: Reader) -> type[Queue]:
    """The queue class, popping only what may be read."""

    class GatedQueue(queue_class):  # type: ignore[misc, valid-type]
        @classmethod
        def dequeue_any(
            cls, queues: Iterable[Queue], timeout: int | None, *args: Any, **kwargs: Any
        ) -> tuple[Job, Queue] | None:
            pop = super().dequeue_any
            return dequeue(
                reader,
                lambda readable, block: pop(readable, block, *args, **kwargs),
                list(queues),
                timeout,
            )

    return GatedQueue


Pop = Callable[[list[Queue], float | None], tuple[Job, Queue] | None]


def dequeue(
    reader: Reader, pop: Pop, queues: list[Queue], timeout: float | None
) -> tuple[Job, Queue] | None:
    """Pop a job that may run.

    Raises:
        DequeueTimeout: there was none in time; the worker sends its heartbeat and asks again.
        redis.ConnectionError: the breaker's store is away; the worker waits, then asks again.
    """
    block = 0.0 if timeout is None else min(timeout, LONGEST_POP)
    deadline = time.monotonic() + block
    try:
        while not reader.is_stopping:
            found = _pop_in_order(reader, pop, queues)
            if found is None and (left := deadline - time.monotonic()) > 0:
                found = _await_job(reader, pop, queues, left)
            if found is not None or timeout is None:
                return found
            if time.monotonic() >= deadline:
                raise DequeueTimeout(block, [queue.key for queue in queues])
    except StoreUnavailable as error:
        raise redis.ConnectionError(str(error)) from error
    finally:
        reader.give_back()
    return None


def _pop_in_order(reader: Reader, pop: Pop, queues: list[Queue]) -> tuple[Job, Queue] | None:
    """Pop what is there, one queue at a time: no slot is taken while a queue ahead has jobs."""
    for queue in queues:
        if reader.may_read(queue.name):
            found = pop([queue], None)
            if found and _is_admitted(reader, *found, is_narrowed=len(queues) > 1):
                return found
    return None


def _await_job(
    reader: Reader, pop: Pop, queues: list[Queue], left: float
) -> tuple[Job, Queue] | None:
    """Wait for a job of the queues that may be read, until another may."""
    readable = [queue for queue in queues if reader.may_read(queue.name)]
    looks = [reader.next_look(queue.name) for queue in queues if queue not in readable]
    seconds = max(SHORTEST_POP, min([left, *looks]))
    if not readable:
        time.sleep(seconds)
        return None
    with contextlib.suppress(DequeueTimeout):
        found = pop(readable, seconds)
        is_narrowed = len(readable) == 1 < len(queues)
        if found and _is_admitted(reader, *found, is_narrowed=is_narrowed):
            return found
    return None


def _is_admitted(reader: Reader, job: Job, queue: Queue, *, is_narrowed: bool) -> bool:
    """Let the job run, or give it back.

    From a single queue RQ pops through a list of jobs on their way. It clears that list only where
    the worker itself has a single queue; a job that it finds there later it takes for stuck, and
    fails it.
    """
    is_admitted = False
    try:
        is_admitted = reader.admit(queue.name)
    finally:
        with queue.connection.pipeline() as both:
            if not is_admitted:
                queue.push_job_id(job.id, pipeline=both, at_front=True)
            if is_narrowed or not is_admitted:
                both.lrem(queue.intermediate_queue.key, 1, job.id)
            both.execute()
    return is_admitted


def perform_guarded(gate: Gate, job: Job, permit: Permit, perform: Callable[[], Any]) -> Any:
    """Run a job, report its permit, and put it back with its attempt if it was rate limited."""
    try:
        with permit.running():
            result = perform()
    except BaseException as error:
        outcome = gate.settle(permit, error)
        if not outcome.is_put_back:
            raise
        # A job may not be put back with a delay: without a scheduler RQ would never run it.
        time.sleep(min(outcome.delay, LONGEST_POP))
        # RQ counts a job that returns Retry as retried once more. Its own `retries_left`, the
        # attempts the user has given it, is not touched.
        job.number_of_retries = (job.number_of_retries or 0) - 1
        return Retry(max=ENDLESS, enqueue_at_front=True)
    gate.settle(permit, None)
    return result
