"""taskiq workers that leave a paused queue alone.

    from breaker.integrations.taskiq import install

    broker = RedisStreamBroker(url, queue_name="content")
    install(broker, queues=["content"])

Then `taskiq worker app:broker` as before:

    before the read    a permit is acquired, so a worker of a paused queue reads nothing
    after the read     the permit is looked at again; a message that a read brought too late goes back
    after the job      the permit is reported; a rate limited job goes back as it came

A stream is read one message at a time: messages that wait in a worker's memory through a pause would
be claimed by another worker, and would run twice.
"""

import asyncio
import contextvars
import functools
import inspect
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from breaker import AsyncPermit, ConfigurationError
from breaker.integrations.asyncgate import AsyncGate, acquired, give_back, is_current
from breaker.integrations.gate import Queues, extra

with extra("taskiq", least="0.12"):
    from taskiq import (
        AckableMessage,
        AsyncBroker,
        AsyncTaskiqDecoratedTask,
        BrokerMessage,
        NoResultError,
        TaskiqMessage,
        TaskiqMiddleware,
        TaskiqResult,
    )
    from taskiq.exceptions import TaskRejectedError

LINE = 'install(broker, queues=["{}"])'
# taskiq's own exceptions are no evidence of the upstream's limits.
CONTROL_FLOW = (NoResultError, TaskRejectedError)

# The claim of the message whose task runs in this context.
_claim: contextvars.ContextVar["Claim | None"] = contextvars.ContextVar("claim", default=None)


def install(broker: AsyncBroker, /, queues: Queues = None, **options: Any) -> None:
    """Guard the queue of a broker, where it is made.

    Args:
        broker: the broker.
        queues: see `breaker.integrations.gate.Gate`.
        **options: `requeue`, and Breaker's own.

    Raises:
        ConfigurationError: naming everything that is wrong.
    """
    broker.add_middlewares(BreakerMiddleware(queues, **options))


class BreakerMiddleware(TaskiqMiddleware):
    """Guards the queue of the broker that it is added to.

    Args:
        queues: see `breaker.integrations.gate.Gate`.
        **options: `requeue`, and Breaker's own.

    Raises:
        ConfigurationError: naming everything that is wrong.
    """

    def __init__(self, queues: Queues = None, **options: Any) -> None:
        super().__init__()
        self.gate = AsyncGate(queues, line=LINE, **options)
        self._claims: dict[str, Claim] = {}
        self._listen: Callable[[], AsyncGenerator[Any, None]] | None = None

    def set_broker(self, broker: AsyncBroker) -> None:
        """Read the broker's messages only while the queue may be read.

        Raises:
            ConfigurationError: this broker cannot be paused without loss, or is guarded already.
        """
        super().set_broker(broker)
        if "listen" in vars(broker):
            raise ConfigurationError(["this broker is guarded already: call install only once"])
        if problem := _problem(broker):
            raise ConfigurationError([problem])
        self._listen = broker.listen
        vars(broker).update(listen=self.listen)
        if getattr(broker, "count", 1) != 1:
            vars(broker).update(count=1)

    async def startup(self) -> None:
        """Check at a worker's start that the queue exists and the store takes this worker."""
        if self.broker.is_worker_process:
            if "--use-process-pool" in sys.argv:
                raise ConfigurationError(
                    ["a guarded broker works with threads: leave out --use-process-pool"]
                )
            self.gate.check_names([_queue(self.broker)], list)

    async def shutdown(self) -> None:
        """Close the breakers."""
        await self.gate.close()

    async def listen(self) -> AsyncGenerator[bytes | AckableMessage, None]:
        """The broker's messages, each with a permit that was acquired before it was read."""
        assert self._listen is not None  # noqa: S101 - set_broker has run
        messages = self._listen()
        breaker = self.gate.breaker(_queue(self.broker))
        if breaker is None:
            async for message in messages:
                yield message
            return
        permit: AsyncPermit | None = None
        try:
            while True:
                permit = permit or await acquired(breaker)
                message = await anext(messages)
                raw = message.data if isinstance(message, AckableMessage) else message
                claim = Claim(self, permit, raw, asyncio.get_running_loop())
                permit = None
                if await is_current(claim.permit):
                    self._claims[claim.task_id] = claim
                    yield message
                else:
                    await claim.send_back()
                    if isinstance(message, AckableMessage):
                        await _acknowledged(message)
        finally:
            if permit is not None:
                await give_back(permit.unused)

    def pre_execute(self, message: TaskiqMessage) -> TaskiqMessage:
        """Hand the permit of a message to its task."""
        _claim.set(self._claims.pop(message.task_id, None))
        task = self.broker.find_task(message.task_name)
        if task is not None:
            _guard(task)
        return message

    async def on_error(
        self, _message: TaskiqMessage, _result: TaskiqResult[Any], exception: BaseException
    ) -> None:
        """Send a rate limited job back, before it is acknowledged."""
        claim = _claim.get()
        if isinstance(exception, PutBackError) and claim is not None:
            await claim.send_back()


class PutBackError(NoResultError):
    """A job was rate limited, and goes back to its queue: taskiq stores no result, and no retry."""

    __template__ = "rate limited: the job goes back to its queue"


@dataclass(frozen=True, slots=True)
class Claim:
    """A message that was read, and the permit for it."""

    middleware: BreakerMiddleware
    permit: AsyncPermit
    raw: bytes
    loop: asyncio.AbstractEventLoop

    @property
    def task_id(self) -> str:
        """The id of the message's task; empty if it cannot be read, which taskiq then says."""
        try:
            message: TaskiqMessage = self.middleware.broker.formatter.loads(message=self.raw)
        except Exception:  # noqa: BLE001 - a user's formatter may raise anything
            return ""
        return message.task_id

    async def send_back(self) -> None:
        """Put the message back into its queue, as it came."""
        broker = self.middleware.broker
        message: TaskiqMessage = broker.formatter.loads(message=self.raw)
        sent = BrokerMessage(
            task_id=message.task_id,
            task_name=message.task_name,
            message=self.raw,
            labels=message.labels,
        )
        await broker.kick(sent)

    async def run(self, job: Callable[[], Awaitable[Any]]) -> Any:
        """Await the job, and report it."""
        await self._begin()
        try:
            with self.permit.running():
                result = await job()
        except BaseException as error:
            await self._end(error)
            raise
        await self._end(None)
        return result

    def run_in_thread(self, job: Callable[[], Any]) -> Any:
        """Run a job that is no coroutine, in a thread of its own, and report it."""
        self._wait(self._begin())
        try:
            with self.permit.running():
                result = job()
        except BaseException as error:
            self._wait(self._end(error))
            raise
        self._wait(self._end(None))
        return result

    def _wait(self, step: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(step, self.loop).result()

    async def _begin(self) -> None:
        if not await is_current(self.permit):  # the message waited in this worker's memory
            raise PutBackError

    async def _end(self, error: BaseException | None) -> None:
        gate = self.middleware.gate
        outcome = await gate.settle(self.permit, error, control_flow=CONTROL_FLOW)
        if outcome.is_put_back:
            raise PutBackError from error


def _guard(task: AsyncTaskiqDecoratedTask[Any, Any]) -> None:
    """Let a task report its jobs. Once."""
    function = task.original_func
    if getattr(function, "is_guarded", False):
        return

    @functools.wraps(function)
    async def awaited(*args: Any, **kwargs: Any) -> Any:
        claim = _claim.get()
        job = functools.partial(function, *args, **kwargs)
        return await (claim.run(job) if claim else job())

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        claim = _claim.get()
        job = functools.partial(function, *args, **kwargs)
        return claim.run_in_thread(job) if claim else job()

    guarded = awaited if inspect.iscoroutinefunction(function) else called
    vars(guarded).update(is_guarded=True)
    task.original_func = guarded


def _queue(broker: AsyncBroker) -> str:
    """The name of the broker's queue; brokers for RabbitMQ and NATS call it otherwise."""
    for attribute in ("queue_name", "_queue_name", "subject"):
        name = getattr(broker, attribute, None)
        if isinstance(name, str):
            return name
    return str(getattr(broker, "queue", ""))


def _problem(broker: AsyncBroker) -> str:
    """Why this broker cannot be guarded; empty if it can."""
    kind = type(broker).__name__
    if "PubSub" in kind:
        return (
            f"{kind} keeps no message, so a paused worker would lose what is sent: use "
            "RedisStreamBroker or ListQueueBroker"
        )
    if getattr(broker, "additional_streams", None):
        return (
            f"{kind} reads several streams at once, so one of them cannot be paused alone: make a "
            "broker for each queue, without additional_streams"
        )
    return "" if _queue(broker) else f"{kind} has no queue with a name, so it cannot be guarded"


async def _acknowledged(message: AckableMessage) -> None:
    done = message.ack()
    if inspect.isawaitable(done):
        await done
