"""Celery workers that leave a paused queue alone.

    from breaker.integrations.celery import install

    app = Celery(...)
    install(app, queues=["content"])

The worker's main process decides, its children (processes, threads, greenlets) run the tasks:

    closed       Celery consumes the queue as ever; each task gets a permit from local memory just
                 before the pool gets it, so prefetched and delayed messages are checked too
    not closed   the main process stops consuming the queue and gives back what was prefetched; it
                 then fetches one message for each slot that the breaker grants
    after a task a success is reported by the main process; a rate limit error by the child, which
                 sends the task to its queue again, with the same id and number of retries

While paused no message is held, so no visibility timeout, time limit or attempt is used up.
"""

import contextlib
import functools
import logging
import math
import os
import time
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from breaker import Breaker, ConfigurationError, Permit
from breaker.integrations.gate import POLL, Gate, Queues, acquire, extra, give_back, is_current

with extra("celery", least="5.4"):
    from celery import Celery, Task, bootsteps, signals
    from celery.exceptions import Ignore, Reject, Retry
    from celery.utils.imports import symbol_by_name
    from celery.worker import state
    from celery.worker.request import Request
    from kombu.entity import Queue

LINE = 'install(app, queues=["{}"])'
# Celery's own exceptions are no evidence of the upstream's limits.
CONTROL_FLOW = (Ignore, Reject, Retry)
# Seconds after which a worker whose pool is full looks again for room.
ROOM_POLL = 0.05
# Shortest wait for a broker's events in seconds: zero would mean no limit to some transports.
SHORTEST_DRAIN = 0.01
# Where a request carries its queue and permit to the child that runs it.
PERMIT = "breaker_permit"

_LOGGER = logging.getLogger("breaker")
_installed: "weakref.WeakSet[Celery]" = weakref.WeakSet()


def install(app: Celery, /, queues: Queues = None, **options: Any) -> None:
    """Guard queues of an application, where it is made.

    Args:
        app: the application.
        queues: see `breaker.integrations.gate.Gate`.
        **options: `requeue`, and Breaker's own.

    Raises:
        ConfigurationError: naming everything that is wrong.
    """
    gate = Gate(queues, line=LINE, **options)
    if app in _installed:
        raise ConfigurationError(["this app is guarded already: call install only once"])
    if app.log.already_setup:
        raise ConfigurationError(
            ["install was called after the worker started: call it in the module of the app"]
        )
    _installed.add(app)
    reader = Reader(gate)
    app.steps["consumer"].add(type("BreakerStep", (Step,), {"reader": reader}))

    def guard_tasks(sender: Any, **_: Any) -> None:
        if sender.app is app:
            reader.guard_tasks(app)

    signals.worker_init.connect(guard_tasks, weak=False)


class Step(bootsteps.StartStopStep):
    """The reader's place in a worker's start and stop, reconnects included."""

    requires = ("celery.worker.consumer.tasks:Tasks",)
    reader: "Reader"

    def start(self, consumer: Any) -> None:
        """Guard what this connection consumes."""
        self.reader.start(consumer)

    def stop(self, _consumer: Any) -> None:
        """Leave the connection alone."""
        self.reader.stop()


class Reader:
    """Decides in a worker's main process which messages may run.

    A queue that is not closed is *held*: it is not consumed, but read slot by slot.
    """

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._consumer: Any = None
        self._routes: dict[tuple[str, str], str] = {}
        self._held: dict[str, Breaker] = {}
        # When each held queue is to be looked at next, in monotonic seconds.
        self._due: dict[str, float] = {}
        # The guarded tasks that the pool has.
        self._running: weakref.WeakSet[Request] = weakref.WeakSet()
        self._timer: Any = None

    def guard_tasks(self, app: Celery) -> None:
        """Prepare all tasks, before the pool starts its children."""
        for queue in app.amqp.queues.consume_from:
            self._gate.breaker(queue)  # made here, children have it and are one worker with it
        for task in app.tasks.values():
            task.Request = _request_class(symbol_by_name(task.Request), self)
            # Inside of Celery's own automatic retries, which would take up an attempt.
            run = "_orig_run" if hasattr(task, "_orig_run") else "run"
            setattr(task, run, guarded(self._gate, task, getattr(task, run)))

    def start(self, consumer: Any) -> None:
        """Begin with a connection; all queues are consumed again."""
        self._consumer = consumer
        consumed = consumer.app.amqp.queues.consume_from
        self._routes = _routes(self._gate, consumed)
        self._gate.check_names(consumed, lambda: _known_queues(consumer, self._gate.names))
        if consumer.hub is None:
            self._look_between_events(consumer.connection)
        elif self._held:
            self._look_soon()

    def stop(self) -> None:
        """End with a connection."""
        if self._timer is not None:
            self._timer.cancel()

    def admit(self, request: Any) -> bool:
        """Whether a task may run now; if not, its message is given back."""
        queue = self._queue_of(request.delivery_info)
        breaker = self._gate.breaker(queue)
        if breaker is None:
            return True
        permit = request.permit or getattr(request.message, PERMIT, None)
        if permit is None or not is_current(permit):
            permit = acquire(breaker)[0]
        if permit is None or permit.is_paced or permit.is_probe:
            self._hold(queue, breaker)
        if permit is None:
            request.reject(requeue=True)
            state.task_ready(request)
            return False
        request.permit = permit
        request.request_dict[PERMIT] = (queue, permit.export(), os.getpid())
        self._running.add(request)
        return True

    def finish(self, request: Any, *, is_success: bool) -> None:
        """Report a task, once. A rate limit error was reported where the task ran."""
        permit, request.permit = request.permit, None
        if permit is None:
            return
        self._running.discard(request)
        if is_success:
            self._gate.settle(permit, None)
        else:
            give_back(permit.release)

    def look(self) -> float:
        """Read the held queues that are due; return the seconds until the next look."""
        for queue, breaker in list(self._held.items()):
            self._consumer.task_consumer.cancel_by_queue(queue)
            if self._due[queue] > time.monotonic():
                continue
            wait = self._read(queue, breaker)
            if wait is None:
                self._consume(queue)
            else:
                self._due[queue] = time.monotonic() + wait
        return (
            min((self._due[queue] for queue in self._held), default=math.inf) - time.monotonic()
        )

    def _hold(self, queue: str, breaker: Breaker) -> None:
        if queue not in self._held:
            self._held[queue], self._due[queue] = breaker, 0.0
            if self._consumer.hub is not None:
                self._look_soon()

    def _read(self, queue: str, breaker: Breaker) -> float | None:
        """Fetch a message for each slot; return the seconds until the next look.

        None: the breaker is closed, so that the queue need not be held any more.
        """
        while len(self._running) < _slots(self._consumer.pool):
            permit, wait = acquire(breaker)
            if permit is None:
                return wait
            if not (permit.is_paced or permit.is_probe):
                return None
            message = self._fetch(queue)
            if message is None:
                give_back(permit.unused)
                return POLL
            setattr(message, PERMIT, permit)
            self._consumer.task_consumer.on_message(message)
        return ROOM_POLL

    def _fetch(self, queue: str) -> Any:
        tasks = self._consumer.task_consumer
        return self._consumer.app.amqp.queues[queue](tasks.channel).get(accept=tasks.accept)

    def _consume(self, queue: str) -> None:
        """Consume the queue again, unless an operator has cancelled it meanwhile."""
        del self._held[queue]
        consumed = self._consumer.app.amqp.queues.consume_from
        if queue in consumed:
            self._consumer.task_consumer.add_queue(consumed[queue])
            self._consumer.task_consumer.consume()

    def _queue_of(self, delivery_info: Any) -> str:
        """The queue of a message: it carries only where it was sent to."""
        sent = (delivery_info.get("exchange") or "", delivery_info.get("routing_key") or "")
        return self._routes.get(sent, sent[1])

    # -- when to look

    def _look_soon(self) -> None:
        self._consumer.hub.call_soon(self._look_by_timer)

    def _look_by_timer(self) -> None:
        """With an event loop (prefork): by its timer."""
        self.stop()
        if (wait := self.look()) < math.inf:
            self._timer = self._consumer.hub.call_later(max(0.0, wait), self._look_by_timer)

    def _look_between_events(self, connection: Any) -> None:
        """Without an event loop (threads, greenlets, solo): between two waits for events."""
        drain = connection.drain_events

        def drain_events(timeout: float | None = None, **kwargs: Any) -> Any:
            wait = min(self.look(), math.inf if timeout is None else timeout)
            wait = max(SHORTEST_DRAIN, wait)
            return drain(timeout=None if wait == math.inf else wait, **kwargs)

        connection.drain_events = drain_events


@functools.cache
def _request_class(base: type[Request], reader: Reader) -> type[Request]:
    class GuardedRequest(base):
        permit: Permit | None = None

        def revoked(self) -> bool:
            """Asked just before the pool gets the task."""
            return super().revoked() or not reader.admit(self)

        def __init_subclass__(cls, **kwargs: Any) -> None:
            """Wrap on_success where Celery overrides it: in a subclass for each task."""
            super().__init_subclass__(**kwargs)
            plain = cls.on_success

            def on_success(self: Any, result: Any, **kwargs: Any) -> Any:
                reader.finish(self, is_success=not result[0])
                return plain(self, result, **kwargs)

            cls.on_success = on_success

        def on_failure(self, *args: Any, **kwargs: Any) -> Any:
            reader.finish(self, is_success=False)
            return super().on_failure(*args, **kwargs)

        def on_timeout(self, soft: Any, timeout: Any) -> Any:
            if not soft:
                reader.finish(self, is_success=False)
            return super().on_timeout(soft, timeout)

    return GuardedRequest


def guarded(gate: Gate, task: Task, run: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap what a task runs: it reports a rate limit error and sends the task again."""

    @functools.wraps(run)
    def call(*args: Any, **kwargs: Any) -> Any:
        queue, text, pid = _claimed(task.request)
        breaker = gate.breaker(queue) if queue else None
        if breaker is None:
            return run(*args, **kwargs)
        permit = breaker.permit(text)
        # Threads and greenlets queue in this process; a child process got its task just now.
        if pid == os.getpid() and not is_current(permit):
            _send_again(task, queue, delay=0.0)
        try:
            with permit.running():
                return run(*args, **kwargs)
        except Exception as error:
            outcome = gate.settle(permit, error, control_flow=CONTROL_FLOW)
            if outcome.is_put_back:
                try:
                    _send_again(task, queue, delay=outcome.delay)
                except Ignore:
                    raise
                except Exception:
                    _LOGGER.exception(
                        "a task cannot be sent again, and fails as without a breaker"
                    )
            raise

    return call


def _claimed(request: Any) -> tuple[str, str, int]:
    """Take queue and permit from a request, so that a retry does not inherit them."""
    if request.headers:
        request.headers.pop(PERMIT, None)
    found: tuple[str, str, int] = vars(request).pop(PERMIT, ("", "", 0))
    return found


def _send_again(task: Task, queue: str, delay: float) -> None:
    """Send a task to its queue again: the same id, the same number of retries.

    Raises:
        Ignore: always; Celery then acknowledges the message and stores no result.
    """
    task.signature_from_request(queue=queue, countdown=delay or None).apply_async()
    raise Ignore


def _slots(pool: Any) -> int:
    """How many tasks a pool runs at a time; autoscaling changes it."""
    # Before Celery 5.7 the greenlets' num_processes is the number that run now.
    slots: int = pool.limit if getattr(pool, "is_green", False) else pool.num_processes
    return slots


def _routes(gate: Gate, consumed: Mapping[str, Queue]) -> dict[tuple[str, str], str]:
    """The queue of each exchange and routing key.

    Raises:
        ConfigurationError: a guarded queue cannot be told from another one by these.
    """
    routes: dict[tuple[str, str], str] = {}
    problems = [
        f"the queue {queue.name!r} cannot be guarded: its exchange is of type "
        f"{queue.exchange.type!r}, and Celery does not say from which queue of such an exchange a "
        "message came; give it an exchange of type 'direct'"
        for queue in consumed.values()
        if gate.breaker(queue.name) is not None and queue.exchange.type != "direct"
    ]
    for queue in consumed.values():
        for sent in ((queue.exchange.name, queue.routing_key), ("", queue.name)):
            other = routes.setdefault(sent, queue.name)
            if gate.breaker(other) is not gate.breaker(queue.name):
                problems.append(
                    f"the queues {other!r} and {queue.name!r} get the same messages, but have "
                    "not the same breaker: give them different routing keys"
                )
    if problems:
        raise ConfigurationError(problems)
    return routes


def _known_queues(consumer: Any, names: Iterable[str]) -> set[str]:
    """The queues that the application declares, and those of these names that the broker has."""
    known = set(consumer.app.amqp.queues)
    return known | {name for name in names if _is_on_broker(consumer, name)}


def _is_on_broker(consumer: Any, name: str) -> bool:
    with consumer.connection.channel() as channel:
        # Where Redis is the broker an empty queue does not exist, but its binding does.
        with contextlib.suppress(Exception):
            if channel.get_table(name):
                return True
        try:
            Queue(name, channel=channel).queue_declare(passive=True)
        except consumer.channel_errors:
            return False
    return True
