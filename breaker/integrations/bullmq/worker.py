"""BullMQ workers in Python that leave a paused queue alone.

    from breaker.integrations.bullmq import install

    worker = Worker("content", process)
    install(worker)

A worker has one queue, and so one breaker:

    before a job is taken   a permit is acquired; without one the worker takes nothing
    after it is taken       if the queue was paused meanwhile, the job goes back as it came
    after the job           the permit is reported; a rate limited job goes back with its attempts
"""

import asyncio
import time
from typing import Any

from breaker import AsyncBreaker, AsyncPermit, ConfigurationError, StoreError
from breaker.integrations.asyncgate import AsyncGate, acquire, give_back, is_current
from breaker.integrations.gate import POLL, Outcome, Queues, extra

with extra("bullmq", least="3.4"):
    from bullmq import Job, Worker
    from bullmq.custom_errors import DelayedError, UnrecoverableError, WaitingChildrenError

LINE = 'install(worker, queues=["{}"])'
CONTROL_FLOW = (DelayedError, UnrecoverableError, WaitingChildrenError)


def install(worker: Worker, /, queues: Queues = None, **options: Any) -> None:
    """Guard a worker's queue, right after the worker is made.

    Args:
        worker: the worker.
        queues: see `breaker.integrations.gate.Gate`. If left out, the breaker has the queue's name.
        **options: `requeue`, and Breaker's own.

    Raises:
        ConfigurationError: naming everything that is wrong.
    """
    gate = AsyncGate([worker.name] if queues is None else queues, line=LINE, **options)
    if "getNextJob" in vars(worker):
        raise ConfigurationError(["this worker is guarded already: call install only once"])
    if worker.running:
        raise ConfigurationError(["this worker runs already: call install where it is made"])
    reader = Reader(worker, gate)
    vars(worker).update(
        run=reader.run,
        getNextJob=reader.next_job,
        getBlockTimeout=reader.block_timeout,
        processJob=reader.process,
        processor=reader.work,
        close=reader.close,
    )


class Reader:
    """Takes the jobs that may run, and reports what came of them."""

    def __init__(self, worker: Worker, gate: AsyncGate) -> None:
        self._worker = worker
        self._gate = gate
        self._run, self._next_job = worker.run, worker.getNextJob
        self._block_timeout, self._close = worker.getBlockTimeout, worker.close
        self._process, self._work = worker.processJob, worker.processor
        self._permits: dict[str, AsyncPermit] = {}

    async def run(self) -> None:
        """Check the configuration, then work."""
        name, named = self._worker.name, self._gate.names
        try:
            self._gate.check_names([name], lambda: named if name in named else ())
        except ConfigurationError as error:
            # The worker runs in a task that nothing awaits.
            raise SystemExit(str(error)) from None
        await self._run()

    async def close(self, force: bool = False) -> None:
        """Close the breakers with the worker."""
        await self._close(force)
        await self._gate.close()

    def block_timeout(self, block_until: int) -> float:
        """During a blocking read the worker cannot notice a pause."""
        return min(float(self._block_timeout(block_until)), POLL)

    async def next_job(self, token: str) -> Job | None:
        """Take a job that may run. None: there was none in time."""
        breaker = self._gate.breaker(self._worker.name)
        if breaker is None:
            return await self._next_job(token)
        permit = await self._permit(breaker)
        if permit is None:
            return None
        job = None
        try:
            if not self._worker.closing:
                job = await self._next_job(token)
            if job is not None and not await is_current(permit):
                await self._put_back(job, token)
                job = None
        finally:
            if job is None:
                await give_back(permit.unused)
        if job is not None:
            self._permits[job.id] = permit
        return job

    async def process(self, job: Job, token: str) -> None:
        """Run a job; one that BullMQ ends by itself gives its permit back."""
        try:
            await self._process(job, token)
        finally:
            if permit := self._permits.pop(job.id, None):
                await give_back(permit.release)

    async def work(self, job: Job, token: str, *signal: Any) -> Any:
        """Call the user's processor, and report it."""
        permit = self._permits.pop(job.id, None)
        if permit is None:
            return await self._work(job, token, *signal)
        try:
            with permit.running():
                result = await self._work(job, token, *signal)
        except BaseException as error:
            outcome = await self._settle(job, permit, error)
            if not outcome.is_put_back:
                raise
            await self._put_back(job, token, outcome.delay)
            raise DelayedError from error
        await self._gate.settle(permit, None)
        return result

    async def _permit(self, breaker: AsyncBreaker) -> AsyncPermit | None:
        try:
            if not await breaker.wait(POLL):
                return None
        except StoreError:
            await asyncio.sleep(POLL)
            return None
        permit, wait = await acquire(breaker, POLL)
        if permit is None:
            await asyncio.sleep(wait)
        return permit

    async def _settle(self, job: Job, permit: AsyncPermit, error: BaseException) -> Outcome:
        if self._gate.requeues or isinstance(error, CONTROL_FLOW):
            return await self._gate.settle(permit, error, control_flow=CONTROL_FLOW)
        # A bridge reads of this failure too, and reports it under the same id.
        error_id = f"{self._worker.name}:{job.id}:{job.attemptsMade + 1}"
        return Outcome(await permit.report(error, error_id=error_id))

    @staticmethod
    async def _put_back(job: Job, token: str, delay: float = 0.0) -> None:
        """Put a job back; this way uses up no attempt."""
        await job.moveToDelayed(round(1000 * (time.time() + delay)), token)
