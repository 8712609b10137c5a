"""Procrastinate workers that leave a paused queue alone.

    from breaker.integrations.procrastinate import install

    app = procrastinate.App(connector=...)
    install(app, queues=["content"])

Then `procrastinate --app app.app worker` as before. A worker fetches one job at a time:

    before the fetch   a permit is acquired for each guarded queue; a queue that gives none is left
                       out, and the worker is woken when it is worth asking again
    after the fetch    the permits that no job came for go back
    after the job      the permit is reported; a rate limited job goes back with its attempts
"""

import asyncio
import contextvars
import datetime as dt
import functools
import inspect
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from breaker import AsyncPermit, ConfigurationError
from breaker.integrations.asyncgate import AsyncGate, acquire, give_back, is_current
from breaker.integrations.gate import Queues, extra

with extra("procrastinate", least="3.7"):
    from procrastinate import App, RetryDecision
    from procrastinate.exceptions import JobAborted, JobRetry
    from procrastinate.jobs import Job
    from procrastinate.tasks import Task

LINE = 'install(app, queues=["{}"])'
# Procrastinate's own exceptions are no evidence of the upstream's limits.
CONTROL_FLOW = (JobAborted, JobRetry)
# Shortest time until a worker is woken, in seconds.
SHORTEST_WAIT = 0.01
# Procrastinate counts an attempt with each retry, and has no call to take one back.
TAKE_BACK = "UPDATE procrastinate_jobs SET attempts = attempts - 1 WHERE id = %(job)s"
WAITING = "SELECT DISTINCT queue_name FROM procrastinate_jobs WHERE status = 'todo'"

_LOGGER = logging.getLogger("breaker")
# The claim of the job that was fetched last, for the task that runs it.
_claim: contextvars.ContextVar["Claim | None"] = contextvars.ContextVar("claim", default=None)


def install(app: App, /, queues: Queues = None, **options: Any) -> None:
    """Guard queues of an application, where it is made.

    Args:
        app: the application.
        queues: see `breaker.integrations.gate.Gate`.
        **options: `requeue`, and Breaker's own.

    Raises:
        ConfigurationError: naming everything that is wrong.
    """
    gate = AsyncGate(queues, line=LINE, **options)
    if "run_worker_async" in vars(app):
        raise ConfigurationError(["this app is guarded already: call install only once"])
    reader = Reader(app, gate)
    vars(app.job_manager).update(fetch_job=reader.fetch_job, listen_for_jobs=reader.listen)
    plain = app.with_connector

    def with_connector(connector: Any) -> App:
        other = plain(connector)
        install(other, queues, **options)
        return other

    vars(app).update(run_worker_async=reader.run_worker, with_connector=with_connector)


class Reader:
    """The queues that the workers of an application may read now."""

    def __init__(self, app: App, gate: AsyncGate) -> None:
        self.app = app
        self.gate = gate
        self._run = app.run_worker_async
        self._fetch, self._listen = app.job_manager.fetch_job, app.job_manager.listen_for_jobs
        # What wakes each worker, and when it does so next.
        self._wakers: set[Callable[[], Awaitable[None]]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._waking: set[asyncio.Task[None]] = set()

    async def run_worker(self, **options: Any) -> None:
        """Check the configuration, then work."""
        self.app.perform_import_paths()
        await self._check({**self.app.worker_defaults, **options}.get("queues"))
        try:
            await self._run(**options)
        finally:
            await self.gate.close()

    async def listen(self, *, on_notification: Any, **rest: Any) -> None:
        """Listen to new jobs, as ever; the same way a worker is woken."""

        async def wake() -> None:
            await on_notification(
                channel="", notification={"type": "job_inserted", "job_id": 0}
            )

        self._wakers.add(wake)
        try:
            await self._listen(on_notification=on_notification, **rest)
        finally:
            self._wakers.discard(wake)

    async def fetch_job(self, queues: Iterable[str] | None, **rest: Any) -> Job | None:
        """Fetch a job that may run."""
        _claim.set(None)
        permits: dict[str, AsyncPermit] = {}
        waits: dict[str, float] = {}
        read = sorted(self.gate.names) if queues is None else list(queues)
        try:
            left_out = await self._ask(read, permits, waits)
            readable = await self._readable(queues, left_out) if left_out else queues
            if readable is not None and not readable:
                return None
            job = await self._fetch(queues=readable, **rest)
            return await self._claimed(job, permits) if job else None
        finally:
            for permit in permits.values():
                await give_back(permit.unused)
            if waits:
                self._wake_in(min(waits.values()))

    async def _ask(
        self, read: list[str], permits: dict[str, AsyncPermit], waits: dict[str, float]
    ) -> set[str]:
        """Ask for a permit of each breaker; return the queues that may not be read."""
        left_out = set()
        for queue in read:
            breaker = self.gate.breaker(queue)
            if breaker is None:
                continue
            if breaker.name not in permits and breaker.name not in waits:
                permit, wait = await acquire(breaker)
                if permit is None:
                    waits[breaker.name] = wait
                else:
                    permits[breaker.name] = permit
            if breaker.name in waits:
                left_out.add(queue)
        return left_out

    async def _readable(self, queues: Iterable[str] | None, left_out: set[str]) -> list[str]:
        if queues is None:  # the worker reads all queues
            rows = await self.app.connector.execute_query_all_async(WAITING)
            queues = [row["queue_name"] for row in rows]
        return [queue for queue in queues if queue not in left_out]

    async def _claimed(self, job: Job, permits: dict[str, AsyncPermit]) -> Job | None:
        """Give the job its permit, or give the job back: its queue may have been paused meanwhile."""
        breaker = self.gate.breaker(job.queue)
        if breaker is None or breaker.name not in permits:
            return job
        if not await is_current(permits[breaker.name]):
            await self.take_attempt_back(job)
            await self.app.job_manager.retry_job(job=job)
            return None
        task = self.app.tasks.get(job.task_name)
        if task is not None:
            _guard(task)
            permit = permits.pop(breaker.name)
            _claim.set(Claim(self, job, permit, asyncio.get_running_loop()))
        return job

    async def take_attempt_back(self, job: Job) -> None:
        """Let a job that goes back to its queue have used no attempt."""
        try:
            await self.app.connector.execute_query_async(TAKE_BACK, job=job.id)
        except Exception:
            _LOGGER.exception("job %s used an attempt: it cannot be taken back", job.id)

    def _wake_in(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_later(max(SHORTEST_WAIT, seconds), self._wake)

    def _wake(self) -> None:
        for wake in self._wakers:
            task = asyncio.ensure_future(wake())
            self._waking.add(task)
            task.add_done_callback(self._waking.discard)

    async def _check(self, queues: Iterable[str] | None) -> None:
        """Check at a worker's start that the guarded queues exist."""
        known = {task.queue for task in self.app.tasks.values()}
        if queues is None and not self.gate.names:
            message = (
                "a worker that reads all queues cannot be guarded by a callable: name its queues, "
                "as in procrastinate worker --queues content,other"
            )
            raise ConfigurationError([message])
        reads = known | set(self.gate.names) if queues is None else set(queues)
        if self.gate.names.keys() - reads - known:
            rows = await self.app.job_manager.list_queues_async()
            known |= {row["name"] for row in rows}
        self.gate.check_names(reads, lambda: known)


@dataclass(frozen=True, slots=True)
class Claim:
    """A job that runs, and the permit for it."""

    reader: Reader
    job: Job
    permit: AsyncPermit
    loop: asyncio.AbstractEventLoop

    async def run(self, job: Awaitable[Any]) -> Any:
        """Await the job, and report it."""
        try:
            with self.permit.running():
                result = await job
        except BaseException as error:
            await self._end(error)
            raise
        await self._end(None)
        return result

    def run_in_thread(self, call: Callable[[], Any]) -> Any:
        """Run a job that is no coroutine, in a thread of its own, and report it."""
        try:
            with self.permit.running():
                result = call()
        except BaseException as error:
            asyncio.run_coroutine_threadsafe(self._end(error), self.loop).result()
            raise
        if inspect.isawaitable(result):
            return self.run(result)
        asyncio.run_coroutine_threadsafe(self._end(None), self.loop).result()
        return result

    async def _end(self, error: BaseException | None) -> None:
        """Report the job; raise PutBackError if it goes back to its queue."""
        gate = self.reader.gate
        outcome = await gate.settle(self.permit, error, control_flow=CONTROL_FLOW)
        if outcome.is_put_back:
            await self.reader.take_attempt_back(self.job)
            raise PutBackError(outcome.delay) from error


class PutBackError(Exception):
    """A job was rate limited, and goes back to its queue.

    Attributes:
        delay: seconds that it waits there.
    """

    def __init__(self, delay: float) -> None:
        super().__init__("rate limited: the job goes back to its queue")
        self.delay = delay


def _guard(task: Task[Any, Any, Any]) -> None:
    """Let a task report its jobs, and be retried when one is put back. Once."""
    if "get_retry_exception" in vars(task):
        return
    plain = task.get_retry_exception

    def get_retry_exception(exception: BaseException, job: Job) -> Any:
        if isinstance(exception, PutBackError):
            at = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=exception.delay)
            return JobRetry(RetryDecision(retry_at=at))
        return plain(exception=exception, job=job)

    vars(task).update(get_retry_exception=get_retry_exception, func=_guarded(task.func))


def _guarded(function: Callable[..., Any]) -> Callable[..., Any]:
    def take_claim() -> Claim | None:
        """Once: a task may call itself, or another one, as a function."""
        claim = _claim.get()
        _claim.set(None)
        return claim

    @functools.wraps(function)
    async def awaited(*args: Any, **kwargs: Any) -> Any:
        claim = take_claim()
        job = function(*args, **kwargs)
        return await (claim.run(job) if claim else job)

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        claim = take_claim()
        call = functools.partial(function, *args, **kwargs)
        return claim.run_in_thread(call) if claim else call()

    return awaited if inspect.iscoroutinefunction(function) else called
