"""arq workers that leave a paused queue alone.

    python -m breaker.integrations.arq app.WorkerSettings

instead of `arq app.WorkerSettings`, with the same options. An arq worker has one queue, and so one
breaker:

    before the claim   a permit is acquired; without one the worker claims nothing
    around the job     the permit is reported; a rate limited job goes back with its tries

The jobs are guarded before arq makes the worker, so that Sentry's integration, which wraps them as
arq makes it, sees a job that goes back as arq's own `Retry`.
"""

import asyncio
import contextvars
import copy
import functools
import inspect
import os
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from breaker import AsyncPermit, ConfigurationError
from breaker.integrations.asyncgate import AsyncGate, acquire, give_back
from breaker.integrations.gate import ENVIRONMENT, POLL, Queues, extra

with extra("arq", least="0.26.3"):
    import arq.cli
    import arq.worker
    from arq.constants import retry_key_prefix
    from arq.worker import Retry, RetryJob, Worker

LINE = 'run_worker(WorkerSettings, queues=["{}"])'
# arq's own exceptions are no evidence of the upstream's limits.
CONTROL_FLOW = (Retry, RetryJob)
WORKERS_OWN = inspect.signature(Worker).parameters

# The permit of the job that runs in this context.
_permit: contextvars.ContextVar[AsyncPermit | None] = contextvars.ContextVar(
    "permit", default=None
)


def run_worker(settings: Any, /, queues: Queues = None, **options: Any) -> Worker:
    """Make a worker whose queue is guarded, and run it, as arq's `run_worker` does.

    Args:
        settings: the class or the dict of a worker's settings.
        queues: see `breaker.integrations.gate.Gate`. If left out, the environment's BREAKER_QUEUES;
            without that, the breaker has the queue's name.
        **options: arq's own, `requeue`, and Breaker's own.

    Raises:
        ConfigurationError: naming everything that is wrong.
    """
    worker = create_worker(settings, queues, **options)
    worker.run()
    return worker


def create_worker(settings: Any, /, queues: Queues = None, **options: Any) -> Worker:
    """Make a worker whose queue is guarded; see `run_worker`."""
    if not isinstance(settings, dict) and not hasattr(settings, "__dict__"):
        raise ConfigurationError(
            [f"not a worker's settings: {settings!r}; write {LINE.format('content')}"]
        )
    own = {name: options.pop(name) for name in WORKERS_OWN.keys() & options.keys()}
    reader = Reader({**arq.worker.get_kwargs(settings), **own}, queues, options)
    vars(reader.worker).update(
        start_jobs=reader.start_jobs, run_job=reader.run_job, close=reader.close
    )
    return reader.worker


class Reader:
    """Claims the jobs that may run, and reports what came of them."""

    def __init__(self, given: dict[str, Any], queues: Queues, options: dict[str, Any]) -> None:
        functions = map(arq.worker.func, given.get("functions") or ())
        jobs = {
            "functions": [self._guarded(function) for function in functions],
            "cron_jobs": [self._guarded(job) for job in given.get("cron_jobs") or ()],
        }
        self.worker = arq.worker.create_worker({**given, **jobs})
        name = self.worker.queue_name
        if queues is None and not os.environ.get(ENVIRONMENT):
            queues = [name]
        self._gate = AsyncGate(queues, line=LINE, **options)
        if self._gate.requeues and not self.worker.retry_jobs:
            raise ConfigurationError(
                ["with retry_jobs=False no job can go back: leave it out, or set requeue=False"]
            )
        named = self._gate.names
        self._gate.check_names([name], lambda: named if name in named else ())
        self._start_jobs, self._run_job = self.worker.start_jobs, self.worker.run_job
        self._close = self.worker.close
        # The permit for the next job that is claimed.
        self._permit: AsyncPermit | None = None

    async def start_jobs(self, job_ids: list[bytes]) -> None:
        """Claim jobs, each with a permit that was acquired before; wait for permits for a moment."""
        worker = self.worker
        breaker = self._gate.breaker(worker.queue_name)
        if breaker is None:
            await self._start_jobs(job_ids)
            return
        clock = asyncio.get_running_loop().time
        until = clock() + POLL
        try:
            for job_id in job_ids:
                if self._is_running(job_id):
                    continue
                if worker.job_counter >= worker.max_jobs:
                    break
                if self._permit is None:
                    self._permit, _ = await acquire(breaker, max(0.0, until - clock()))
                if self._permit is None or not worker.allow_pick_jobs:
                    break
                await self._start_jobs([job_id])
        finally:
            permit, self._permit = self._permit, None
            if permit is not None:
                await give_back(permit.unused)

    def run_job(self, job_id: str, score: int) -> Coroutine[Any, Any, None]:
        """Run a job that has just been claimed. The permit is taken now, and not by its task."""
        permit, self._permit = self._permit, None
        return self._run(permit, job_id, score)

    async def close(self) -> None:
        """Close the breakers with the worker."""
        try:
            await self._close()
        finally:
            await self._gate.close()

    def _is_running(self, job_id: bytes) -> bool:
        task = self.worker.tasks.get(job_id.decode())
        return task is not None and not task.done()

    async def _run(self, permit: AsyncPermit | None, job_id: str, score: int) -> None:
        if permit is None:
            await self._run_job(job_id, score)
            return
        _permit.set(permit)
        try:
            await self._run_job(job_id, score)
        finally:
            await give_back(permit.release)  # only if the job did not begin

    def _guarded(self, function: Any) -> Any:
        """A copy of a function or cron job of arq's, whose coroutine is reported."""
        guarded = copy.copy(function)
        guarded.coroutine = self._reported(function.coroutine)
        return guarded

    def _reported(
        self, coroutine: Callable[..., Coroutine[Any, Any, Any]]
    ) -> Callable[..., Coroutine[Any, Any, Any]]:
        @functools.wraps(coroutine)
        async def reported(ctx: dict[Any, Any], *args: Any, **kwargs: Any) -> Any:
            permit = _permit.get()
            if permit is None:
                return await coroutine(ctx, *args, **kwargs)
            try:
                with permit.running():
                    result = await coroutine(ctx, *args, **kwargs)
            except BaseException as error:
                await self._end(permit, error, ctx["job_id"])
                raise
            await self._end(permit, None, ctx["job_id"])
            return result

        return reported

    async def _end(self, permit: AsyncPermit, error: BaseException | None, job_id: str) -> None:
        outcome = await self._gate.settle(permit, error, control_flow=CONTROL_FLOW)
        if outcome.is_put_back:
            await self.worker.pool.decr(retry_key_prefix + job_id)
            # No class of our own: Sentry knows arq's exceptions by their very class.
            raise Retry(defer=outcome.delay) from error


def main() -> None:
    """Run arq's command line, with guarded workers."""
    vars(arq.cli).update(create_worker=create_worker, run_worker=run_worker)
    try:
        arq.cli.cli(prog_name="python -m breaker.integrations.arq")
    except ConfigurationError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
