"""The demo's fleet of Dramatiq workers, each of which runs one message at a time."""

import signal
import threading
from typing import Any

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker

from breaker.demo.frameworks.job import CONTENT, OTHER, Marks
from breaker.demo.ledger import RETRIES
from breaker.integrations.dramatiq import install

# Milliseconds between two tries of a message.
BACKOFF = 100


class Broker:
    """Dramatiq with Redis."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._broker = RedisBroker(url=url)
        for queue in (CONTENT, OTHER):
            self._broker.declare_queue(queue)

    def send(self, queue: str, job: str, url: str) -> None:
        """Enqueue a message."""
        arguments = (queue, job, url)
        self._broker.enqueue(
            dramatiq.Message(
                queue_name=queue, actor_name=queue, args=arguments, kwargs={}, options={}
            )
        )

    def pending(self, connection: redis.Redis, queue: str) -> int:
        """The messages that are waiting, delayed, or not acknowledged."""
        names = (f"dramatiq:{queue}.msgs", f"dramatiq:{queue}.DQ.msgs")
        return sum(int(connection.hlen(name)) for name in names)

    def work(self, name: str, settings: dict[str, Any] | None) -> None:
        """Drain both queues until asked to stop."""
        marks = Marks(self._url)
        if settings is not None:
            install(self._broker, queues=[CONTENT], url=self._url, worker=name, **settings)
        self._broker.add_middleware(Failures(marks))
        for queue in (CONTENT, OTHER):
            declare = dramatiq.actor(
                actor_name=queue,
                queue_name=queue,
                broker=self._broker,
                max_retries=RETRIES,
                min_backoff=BACKOFF,
                max_backoff=BACKOFF,
            )
            declare(marks.run)
        asked = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: asked.set())
        worker = dramatiq.Worker(self._broker, worker_threads=1)
        worker.start()
        marks.ready(name)
        asked.wait()
        worker.stop()


class Failures(dramatiq.Middleware):
    """Writes down the messages that Dramatiq gives up."""

    def __init__(self, marks: Marks) -> None:
        self._marks = marks

    def after_nack(self, _broker: Any, message: Any) -> None:
        """The message goes to the dead letters."""
        self._marks.failed(message.args[0], message.args[1])
