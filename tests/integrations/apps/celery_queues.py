"""The queues of a type of RabbitMQ's, for workers and senders."""

from kombu import Exchange, Queue


def queues(kind: str) -> list[Queue]:
    arguments = {"x-queue-type": kind}
    return [
        Queue(name, Exchange(name), name, queue_arguments=arguments)
        for name in ("content", "other")
    ]
