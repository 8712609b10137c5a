"""Dramatiq workers that leave a paused queue alone.

    from breaker.integrations.dramatiq import install

    broker = RedisBroker(...)
    install(broker, queues=["content"])

or `broker.add_middleware(BreakerMiddleware(queues=["content"]))`. Works with any broker.

A worker's thread that consumes a guarded queue has a permit before it fetches a message, and
fetches no more messages than the worker has threads. While the queue is paused and none of its
messages is being processed, the consumer is closed, so that the worker holds no message. A rate
limited message is enqueued again as it was, so that Retries does not count it.
"""

import functools
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from breaker import Breaker, ConfigurationError, Permit
from breaker.integrations.gate import Gate, Queues, acquire, extra, give_back, is_current

with extra("dramatiq", least="1.17"):
    from dramatiq import Actor, Broker, Middleware, RateLimitExceeded, Retry, Worker
    from dramatiq.broker import Consumer, MessageProxy
    from dramatiq.common import q_name
    from dramatiq.middleware import MiddlewareError, SkipMessage

# Dramatiq's own exceptions, its own rate limiter's included: no evidence of the upstream's limits.
CONTROL_FLOW = (MiddlewareError, RateLimitExceeded, Retry)
# Seconds after which a worker whose threads are all busy looks again for room.
ROOM_POLL = 0.05


def install(broker: Broker, /, queues: Queues = None, **options: Any) -> None:
    """Guard queues of a broker, where it is made.

    Args:
        broker: the broker.
        queues: see `breaker.integrations.gate.Gate`.
        **options: `requeue`, and Breaker's own.

    Raises:
        ConfigurationError: naming everything that is wrong.
    """
    gate = Gate(queues, line='install(broker, queues=["{}"])', **options)
    _check_alone(broker)
    broker.add_middleware(BreakerMiddleware(gate=gate))


class BreakerMiddleware(Middleware):
    """The middleware that guards queues of a broker.

    Args:
        queues: see `breaker.integrations.gate.Gate`.
        **options: `requeue`, and Breaker's own.
    """

    def __init__(
        self, queues: Queues = None, *, gate: Gate | None = None, **options: Any
    ) -> None:
        line = 'BreakerMiddleware(queues=["{}"])'
        self._gate = gate or Gate(queues, line=line, **options)
        self._claims = threading.local()

    # -- hooks

    def after_declare_actor(self, _broker: Broker, actor: Actor[..., Any]) -> None:
        """Guard what the actor runs."""
        actor.fn = self._guarded(actor.fn)

    def before_worker_boot(self, broker: Broker, worker: Worker) -> None:
        """Guard what the worker consumes.

        Raises:
            MiddlewareError: the configuration is wrong; other errors Dramatiq would only log.
        """
        try:
            _check_alone(broker, self)
            declared = broker.get_declared_queues()
            self._gate.check_names(worker.consumer_whitelist or declared, lambda: declared)
        except ConfigurationError as error:
            raise MiddlewareError(str(error)) from error
        consume = broker.consume

        def guarded(queue_name: str, prefetch: int = 1, timeout: int = 30000) -> Consumer:
            # Messages that are delayed, or dead, are in queues of other names.
            is_plain = q_name(queue_name) == queue_name
            breaker = self._gate.breaker(queue_name) if is_plain else None
            if breaker is None:
                return consume(queue_name, prefetch=prefetch, timeout=timeout)
            room = worker.worker_threads
            begin = functools.partial(consume, queue_name, prefetch=room, timeout=timeout)
            return GuardedConsumer(breaker, begin, room, timeout)

        vars(broker)["consume"] = guarded

    def before_process_message(self, broker: Broker, message: MessageProxy) -> None:
        """Look again: the message may have waited for a thread.

        Raises:
            SkipMessage: the message may not run now; it is in its queue again.
        """
        breaker = self._gate.breaker(q_name(message.queue_name))
        if breaker is None:
            self._claims.now = None
            return
        permit = vars(message).get("permit")
        if permit is None or not is_current(permit):
            permit, _ = acquire(breaker)
        if permit is None:
            _enqueue_again(broker, message, delay=0.0)
            raise SkipMessage("paused")
        self._claims.now = Claim(broker, message, permit)

    # -- how

    def _guarded(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            # Once: an actor may call itself, or another one, as a function.
            claim = getattr(self._claims, "now", None)
            self._claims.now = None
            if claim is None:
                return function(*args, **kwargs)
            return self._run(claim, functools.partial(function, *args, **kwargs))

        return call

    def _run(self, claim: "Claim", function: Callable[[], Any]) -> Any:
        try:
            with claim.permit.running():
                result = function()
        except BaseException as error:
            outcome = self._gate.settle(claim.permit, error, control_flow=CONTROL_FLOW)
            if not outcome.is_put_back:
                raise
            _enqueue_again(claim.broker, claim.message, outcome.delay)
            raise SkipMessage("rate limited") from error
        self._gate.settle(claim.permit, None)
        return result


def _check_alone(broker: Broker, mine: Middleware | None = None) -> None:
    """Check that a broker is guarded once, and before a worker has started."""
    others = [each for each in broker.middleware if each is not mine]
    if any(isinstance(each, BreakerMiddleware) for each in others):
        raise ConfigurationError(["this broker is guarded already: call install only once"])
    if any(type(each).__name__ == "_WorkerMiddleware" for each in others):
        message = (
            "install was called after the worker started: call it where the broker is made"
        )
        raise ConfigurationError([message])


@dataclass(frozen=True, slots=True)
class Claim:
    """What a thread runs now: a message, and the permit for it."""

    broker: Broker
    message: MessageProxy
    permit: Permit


def _enqueue_again(broker: Broker, message: MessageProxy, delay: float) -> None:
    """Send a message to its queue again, as it was."""
    broker.enqueue(message.copy(), delay=int(delay * 1000) or None)
    # For the middleware Results a skipped message has the result None.
    message.options["store_results"] = False


class GuardedConsumer(Consumer):
    """A consumer that has a permit for each message that it yields.

    Args:
        breaker: the queue's breaker.
        begin: makes the broker's own consumer.
        room: how many messages may be in hand at a time.
        timeout: milliseconds that a call of `next` may take.
    """

    def __init__(
        self, breaker: Breaker, begin: Callable[[], Consumer], room: int, timeout: int
    ) -> None:
        self._breaker = breaker
        self._begin = begin
        self._room = room
        self._longest_wait = timeout / 1000
        self._inner: Any = None
        self._in_hand: set[str] = set()
        # Fetched, but the queue was paused meanwhile.
        self._held: MessageProxy | None = None

    def __next__(self) -> MessageProxy | None:
        """A message that may run now; None after at most the timeout."""
        if len(self._in_hand) >= self._room:
            self._wait(ROOM_POLL)
            return None
        permit, wait = acquire(self._breaker)
        if permit is None:
            if not self._in_hand:
                self.close()
            self._wait(wait)
            return None
        message = self._fetch()
        if message is None:
            give_back(permit.unused)
            return None
        if not is_current(permit):
            self._held = message
            give_back(permit.unused)
            return None
        vars(message)["permit"] = permit
        self._in_hand.add(message.message_id)
        return message

    def ack(self, message: MessageProxy) -> None:
        """Acknowledge a message."""
        self._in_hand.discard(message.message_id)
        self._inner.ack(message)

    def nack(self, message: MessageProxy) -> None:
        """Move a message to the dead letters."""
        self._in_hand.discard(message.message_id)
        self._inner.nack(message)

    def requeue(self, messages: Iterable[MessageProxy]) -> None:
        """Give messages back to the broker."""
        if self._inner is not None:
            self._inner.requeue(messages)

    def close(self) -> None:
        """Give back what was fetched and close the broker's consumer; `next` makes another."""
        held, self._held = self._held, None
        inner, self._inner = self._inner, None
        if inner is not None:
            inner.requeue([held] if held else [])
            inner.close()

    def _fetch(self) -> MessageProxy | None:
        message, self._held = self._held, None
        if message is not None:
            return message
        if self._inner is None:
            self._inner = self._begin()
        if hasattr(self._inner, "outstanding_message_count"):
            # Redis: fetch one message, or the others would wait in this process's memory.
            self._inner.prefetch = self._inner.outstanding_message_count + 1
        found: MessageProxy | None = next(self._inner)
        return found

    def _wait(self, seconds: float) -> None:
        # RabbitMQ's connection must be served meanwhile, or it would be lost.
        connection = getattr(self._inner, "connection", None)
        sleep = time.sleep if connection is None else connection.sleep
        sleep(min(seconds, self._longest_wait))
