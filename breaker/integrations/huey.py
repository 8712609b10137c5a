"""Huey consumers that leave a paused queue alone.

    from breaker.integrations.huey import install

    huey = RedisHuey("content")
    install(huey)

Then `huey_consumer app.huey` as before. A huey is one queue, so that a consumer has one breaker:

    before the pop   a worker (thread, process or greenlet) acquires a permit; without one it waits
    after the pop    if the queue was paused meanwhile, the task goes back, as if never popped
    after the task   the permit is reported; a rate limited task goes back with its retries

Huey acknowledges nothing: a task that was popped is in this process alone. So none is ever held.
"""

import functools
import logging
import time
from collections.abc import Callable
from typing import Any

from breaker import Breaker, ConfigurationError, Permit
from breaker.integrations.gate import POLL, Gate, Queues, acquire, extra, give_back, is_current

with extra("huey", least="2.5"):
    from huey import CancelExecution, Huey, RedisHuey, exceptions
    from huey.api import Task
    from huey.exceptions import RetryTask, TaskLockedException

LINE = 'install(huey, queues=["{}"])'
# Huey's own exceptions, its own rate limiter's included: no evidence of the upstream's limits.
CONTROL_FLOW = (
    CancelExecution,
    RetryTask,
    TaskLockedException,
    getattr(exceptions, "RateLimitExceeded", RetryTask),  # of Huey 3
)
# Shortest wait for a permit, in seconds.
SHORTEST_WAIT = 0.01
# Where a task carries its permit from the pop to its run, in the same thread.
PERMIT = "breaker_permit"

_LOGGER = logging.getLogger("breaker")


def install(huey: Huey, /, queues: Queues = None, **options: Any) -> None:
    """Guard a huey, where it is made.

    Args:
        huey: the huey, with any storage.
        queues: see `breaker.integrations.gate.Gate`. If left out, the breaker has the huey's name.
        **options: `requeue`, and Breaker's own.

    Raises:
        ConfigurationError: naming everything that is wrong.
    """
    gate = Gate([huey.name] if queues is None else queues, line=LINE, **options)
    if "dequeue" in vars(huey):
        raise ConfigurationError(["this huey is guarded already: call install only once"])
    if getattr(huey, "_timeout_handler", None) is not None:
        message = (
            "install was called after the consumer was made: call it where the huey is made"
        )
        raise ConfigurationError([message])
    reader = Reader(huey, gate)
    vars(huey).update(
        dequeue=reader.dequeue, execute=reader.execute, create_consumer=reader.create_consumer
    )


class Reader:
    """Pops the tasks that may run, and runs them under their permits."""

    def __init__(self, huey: Huey, gate: Gate) -> None:
        self._huey = huey
        self._gate = gate
        self._pop, self._execute = huey.dequeue, huey.execute
        self._create_consumer = huey.create_consumer
        self._stopping: Any = None

    def create_consumer(self, **options: Any) -> Any:
        """Check the configuration, and make the consumer."""
        name, named = self._huey.name, self._gate.names
        # Several hueys may be given the same mapping.
        self._gate.check_names([name], lambda: named if name in named else ())
        storage = self._huey.storage
        if not 0 < (getattr(storage, "read_timeout", POLL) or 0) <= POLL:
            storage.read_timeout = POLL  # during a pop no worker can notice a pause
        consumer = self._create_consumer(**options)
        self._stopping = consumer.stop_flag
        return consumer

    def dequeue(self) -> Task | None:
        """Pop a task that may run. None: there was none in time."""
        breaker = self._gate.breaker(self._huey.name)
        if breaker is None:
            return self._pop()
        permit = self._permit(breaker)
        if permit is None:
            return None
        task = None
        try:
            task = self._pop()
            if task is not None and not self._may_run(task, permit):
                task = None
        finally:
            if task is None:
                give_back(permit.unused)
        if task is not None:
            vars(task)[PERMIT] = permit
        return task

    def execute(self, task: Task, timestamp: Any = None) -> Any:
        """Run the task, unless Huey finds that it is revoked, expired or to be run later."""
        permit = vars(task).pop(PERMIT, None)
        if permit is None:
            return self._execute(task, timestamp)
        used: list[Permit] = []
        run = functools.partial(self._run, task, permit, task.execute)

        def execute() -> Any:
            used.append(permit)
            return run()

        vars(task)["execute"] = execute
        try:
            return self._execute(task, timestamp)
        finally:
            if not used:
                give_back(permit.unused)

    def _permit(self, breaker: Breaker) -> Permit | None:
        """Wait for a permit; None: the consumer stops, or it is unknown and shall look for itself."""
        while True:
            permit, wait = acquire(breaker)
            if permit is not None:
                return permit
            wait = max(SHORTEST_WAIT, wait)
            if self._stopping is None:
                time.sleep(wait)
                return None
            # Not back to the consumer: where pops do not block, it would wait longer each time.
            if self._stopping.wait(wait):
                return None

    def _may_run(self, task: Task, permit: Permit) -> bool:
        """Whether the task just popped may run; if not, it is in its queue again."""
        if is_current(permit):
            return True
        try:
            self._push_back(task)
        except Exception:
            _LOGGER.exception("a task cannot be given back, and is run: no broker has it now")
            return True
        return False

    def _push_back(self, task: Task) -> None:
        storage, data = self._huey.storage, self._huey.serialize_task(task)
        if isinstance(self._huey, RedisHuey) and not storage.priority:
            storage.conn.rpush(storage.queue_key, data)  # to the front
        else:
            storage.enqueue(data, task.priority)

    def _run(self, task: Task, permit: Permit, run: Callable[[], Any]) -> Any:
        try:
            with permit.running():
                result = run()
        except BaseException as error:
            outcome = self._gate.settle(permit, error, control_flow=CONTROL_FLOW)
            if not outcome.is_put_back:
                raise
            # Without a delay Huey would wait for the task's own, and lengthen it.
            delay = outcome.delay or (0 if task.retry_delay else None)
            raise RetryTask("rate limited", delay=delay) from error
        self._gate.settle(permit, None)
        return result
