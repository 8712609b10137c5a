"""streaQ workers that leave a paused queue alone.

    from breaker.integrations.streaq import install

    worker = Worker(redis_url="redis://localhost", queue_name="content")
    install(worker)

Then `streaq run app:worker` as before. A worker has one queue, and so one breaker:

    before the read   a permit is acquired, so a worker of a paused queue reads nothing
    before the task   the permit is looked at again; without one the message goes back to the tail,
                      and no try is counted
    after the task    the permit is reported; a rate limited task goes back with its tries
"""

import contextvars
import functools
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from breaker import AsyncPermit, ConfigurationError
from breaker.integrations.asyncgate import AsyncGate, acquire, acquired, give_back, is_current
from breaker.integrations.gate import Queues, extra

with extra("streaq", least="7.2"):
    from streaq import StreaqRetry, Worker
    from streaq.constants import REDIS_GROUP
    from streaq.types import StreamMessage

LINE = 'install(worker, queues=["{}"])'
# streaQ's own exceptions are no evidence of the upstream's limits.
CONTROL_FLOW = (StreaqRetry,)
READERS = ("_read_streams_max_count", "_read_streams_legacy")

# The claim of the message whose task runs in this context.
_claim: contextvars.ContextVar["Claim | None"] = contextvars.ContextVar("claim", default=None)


def install(worker: Worker[Any], /, queues: Queues = None, **options: Any) -> None:
    """Guard a worker's queue, where the worker is made.

    Args:
        worker: the worker.
        queues: see `breaker.integrations.gate.Gate`. If left out, the breaker has the queue's name.
        **options: `requeue`, and Breaker's own.

    Raises:
        ConfigurationError: naming everything that is wrong.
    """
    gate = AsyncGate([worker.queue_name] if queues is None else queues, line=LINE, **options)
    if "run_task" in vars(worker):
        raise ConfigurationError(["this worker is guarded already: call install only once"])
    if worker.anyio_backend != "asyncio":
        raise ConfigurationError(['a guarded worker needs anyio_backend="asyncio"'])
    reader = Reader(worker, gate)
    readers = {name: reader.gated(getattr(worker, name)) for name in READERS}
    worker.middleware(reader.middleware)
    vars(worker).update(readers, run_task=reader.run_task, run_async=reader.run)
    # The worker logs every retry as an error, which monitoring would count.
    logging.getLogger("streaq").addFilter(_is_no_put_back)


class PutBackError(StreaqRetry):
    """A task was rate limited, and goes back to its queue."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A message that was read, and the permit for it."""

    message: StreamMessage
    permit: AsyncPermit


class Reader:
    """Reads the messages that may run, and runs them under their permits."""

    def __init__(self, worker: Worker[Any], gate: AsyncGate) -> None:
        self._worker = worker
        self._gate = gate
        self._run_task, self._run = worker.run_task, worker.run_async
        # The permit of the latest read, for the first of its messages.
        self._permit: AsyncPermit | None = None

    async def run(self, **options: Any) -> None:
        """Check the configuration, then work."""
        name, named = self._worker.queue_name, self._gate.names
        self._gate.check_names([name], lambda: named if name in named else ())
        try:
            await self._run(**options)
        finally:
            await self._gate.close()

    def gated(self, read: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """Read messages when there is a permit; one at a time while the breaker recovers."""

        @functools.wraps(read)
        async def gated(count: int, block: bool = False) -> Any:
            breaker = self._gate.breaker(self._worker.queue_name)
            if breaker is None:
                return await read(count, block)
            if self._permit is None or not await is_current(self._permit):
                self._permit = await acquired(breaker)
            is_single = self._permit.is_paced or self._permit.is_probe
            return await read(1 if is_single else count, block)

        return gated

    async def run_task(self, msg: StreamMessage) -> None:
        """Run a message's task, or put the message back: its queue may have been paused meanwhile."""
        breaker = self._gate.breaker(self._worker.queue_name)
        if breaker is None:
            return await self._run_task(msg)
        permit, self._permit = self._permit, None
        if permit is None or not await is_current(permit):
            permit, _ = await acquire(breaker)
        if permit is None:
            return await self._put_back(msg)
        _claim.set(Claim(msg, permit))
        try:
            return await self._run_task(msg)
        finally:
            _claim.set(None)
            await give_back(permit.release)  # only if no task ran

    def middleware(
        self, task: Callable[..., Coroutine[Any, Any, Any]]
    ) -> Callable[..., Coroutine[Any, Any, Any]]:
        """Report a task, and let a rate limited one be retried."""

        @functools.wraps(task)
        async def reported(*args: Any, **kwargs: Any) -> Any:
            claim = _claim.get()
            if claim is None:
                return await task(*args, **kwargs)
            try:
                with claim.permit.running():
                    result = await task(*args, **kwargs)
            except BaseException as error:
                await self._end(claim, error)
                raise
            await self._end(claim, None)
            return result

        return reported

    async def _end(self, claim: Claim, error: BaseException | None) -> None:
        outcome = await self._gate.settle(claim.permit, error, control_flow=CONTROL_FLOW)
        if outcome.is_put_back:
            key = f"{self._worker.prefix}:task:retry:{claim.message.task_id}"
            await self._worker.redis.decr(key)
            raise PutBackError(delay=timedelta(seconds=outcome.delay)) from error

    async def _put_back(self, msg: StreamMessage) -> None:
        """Put a message that was not begun back, at the tail."""
        stream = self._worker.stream_key + msg.priority
        fields: dict[str | bytes, Any] = {
            "task_id": msg.task_id,
            "enqueue_time": msg.enqueue_time,
        }
        async with self._worker.redis.pipeline(transaction=True) as pipe:
            pipe.xadd(stream, fields)
            pipe.xack(stream, REDIS_GROUP, [msg.message_id])
            pipe.xdel(stream, [msg.message_id])


def _is_no_put_back(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, PutBackError)
