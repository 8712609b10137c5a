"""SAQ workers that leave a paused queue alone.

    from breaker.integrations.saq import install

    queue = Queue.from_url("redis://localhost", name="content")
    install(queue)

Then `saq app.settings` as before. A SAQ worker has one queue, and so one breaker:

    before the pop   a permit is acquired; without one the worker pops nothing
    after the pop    if the queue was paused meanwhile, the job goes back to its head
    after the job    the permit is reported; a rate limited job goes back with its attempts
"""

import contextlib
import logging
import sys
from dataclasses import dataclass
from typing import Any

from breaker import AsyncPermit, ConfigurationError
from breaker.classify import refusal
from breaker.integrations.asyncgate import AsyncGate, acquire, give_back, is_current
from breaker.integrations.gate import POLL, Queues, extra

with extra("saq", least="0.26"):
    from saq import Job, Status
    from saq.queue import Queue
    from saq.queue.redis import RedisQueue

LINE = 'install(queue, queues=["{}"])'

_LOGGER = logging.getLogger("breaker")


def install(queue: Queue, /, queues: Queues = None, **options: Any) -> None:
    """Guard a queue, where it is made.

    Args:
        queue: the queue, on Redis or Valkey.
        queues: see `breaker.integrations.gate.Gate`. If left out, the breaker has the queue's name.
        **options: `requeue`, and Breaker's own.

    Raises:
        ConfigurationError: naming everything that is wrong.
    """
    gate = AsyncGate([queue.name] if queues is None else queues, line=LINE, **options)
    if "dequeue" in vars(queue):
        raise ConfigurationError(["this queue is guarded already: call install only once"])
    if not isinstance(queue, RedisQueue):
        kind = type(queue).__name__
        raise ConfigurationError([f"{kind} cannot be guarded; a queue on Redis or Valkey can"])
    reader = Reader(queue, gate)
    vars(queue).update(
        dequeue=reader.dequeue,
        finish=reader.finish,
        retry=reader.retry,
        disconnect=reader.disconnect,
    )
    # The worker logs a job's exception before the queue hears of it.
    logging.getLogger("saq").addFilter(reader.quieten)


@dataclass(slots=True)
class Claim:
    """A job that runs: its permit, and what is to be left when it ends."""

    permit: AsyncPermit
    running: contextlib.ExitStack


class Reader:
    """Pops the jobs that may run, and reports what came of them."""

    def __init__(self, queue: RedisQueue, gate: AsyncGate) -> None:
        self._queue = queue
        self._gate = gate
        self._dequeue, self._finish, self._retry = queue.dequeue, queue.finish, queue.retry
        self._disconnect = queue.disconnect
        self._claims: dict[str, Claim] = {}
        self._is_checked = False

    async def dequeue(self, timeout: float = 0.0, poll_interval: float = 0.0) -> Job | None:
        """Pop a job that may run. None: there was none in time."""
        self._check()
        breaker = self._gate.breaker(self._queue.name)
        if breaker is None:
            return await self._dequeue(timeout, poll_interval)
        permit, _ = await acquire(breaker, POLL)
        if permit is None:
            return None
        try:
            # During a pop the worker cannot notice a pause.
            job = await self._dequeue(min(timeout or POLL, POLL), poll_interval)
            if job is None:
                return None
            if await is_current(permit):
                running = contextlib.ExitStack()
                running.enter_context(
                    permit.running()
                )  # the job's task gets a copy of this context
                self._claims[job.id] = Claim(permit, running)
                permit = None
                return job
            await self._put_at_head(job)
            return None
        finally:
            if permit is not None:
                await give_back(permit.unused)

    async def finish(self, job: Job, status: Status, **more: Any) -> None:
        """A job is over: report it; put it back instead if it was rate limited."""
        error = sys.exc_info()[1] if status is Status.FAILED else None
        if status is Status.ABORTED:
            await self._release(job)
        elif await self._is_put_back(job, error):
            return
        await self._finish(job, status, **more)

    async def retry(self, job: Job, error: str | None) -> None:
        """A job is to run again: report it; it keeps its attempts if it was rate limited."""
        raised = sys.exc_info()[1]
        if not isinstance(raised, Exception):  # the worker was told to stop
            await self._release(job)
        elif await self._is_put_back(job, raised):
            return
        await self._retry(job, error)

    async def disconnect(self) -> None:
        """Close the breakers with the queue."""
        await self._gate.close()
        await self._disconnect()

    def quieten(self, record: logging.LogRecord) -> bool:
        """Let the worker log no error for a job that goes back: monitoring would count it."""
        error = record.exc_info[1] if record.exc_info else None
        breaker = self._gate.breaker(self._queue.name)
        if error is None or breaker is None or not self._gate.requeues:
            return True
        return not (breaker.rules(error) or refusal(error))

    async def _is_put_back(self, job: Job, error: BaseException | None) -> bool:
        claim = self._claims.pop(job.id, None)
        if claim is None:
            return False
        claim.running.close()
        outcome = await self._gate.settle(claim.permit, error)
        if not outcome.is_put_back:
            if outcome.limited:
                _LOGGER.error("job %s was rate limited", job.id, exc_info=error)
            return False
        job.attempts -= 1
        vars(job).update(next_retry_delay=lambda: outcome.delay)
        await self._retry(job, None)
        return True

    async def _release(self, job: Job) -> None:
        if claim := self._claims.pop(job.id, None):
            claim.running.close()
            await give_back(claim.permit.release)

    async def _put_at_head(self, job: Job) -> None:
        queued, active = (self._queue.namespace(key) for key in ("queued", "active"))
        async with self._queue.redis.pipeline(transaction=True) as pipe:
            pipe.lrem(active, 1, job.id)
            pipe.lpush(queued, job.id)
            await pipe.execute()

    def _check(self) -> None:
        """Check with the worker's first pop that its queue exists and the store takes it."""
        if self._is_checked:
            return
        try:
            name, named = self._queue.name, self._gate.names
            self._gate.check_names([name], lambda: named if name in named else ())
        except ConfigurationError as error:
            # A worker of SAQ lives on after any other exception.
            raise SystemExit(str(error)) from None
        self._is_checked = True
