"""The taskiq brokers of the contract: a broker is one queue."""

import asyncio
import os
from typing import Any

from taskiq import Context, TaskiqDepends
from taskiq_redis import ListQueueBroker, RedisStreamBroker

from breaker.integrations.taskiq import install
from tests.integrations.apps.work import call

CONTEXT: Any = TaskiqDepends()


def make(kind, queue, url):
    """A broker with its tasks; a message says no more of a task than its name."""
    if kind == "stream":
        broker = RedisStreamBroker(url, queue_name=queue, consumer_id="0", xread_block=500)
    else:
        broker = ListQueueBroker(url, queue_name=queue)

    async def run(job, context: Context = CONTEXT):
        await asyncio.to_thread(
            call, queue, job, int(context.message.labels.get("_retries", 0))
        )

    def blocking(job, context: Context = CONTEXT):
        call(queue, job, int(context.message.labels.get("_retries", 0)))

    broker.register_task(run, task_name=queue)
    broker.register_task(blocking, task_name=f"{queue}-blocking")
    return broker


if url := os.environ.get("BROKER"):
    kind = os.environ.get("KIND", "stream")
    content, other = (make(kind, queue, url) for queue in ("content", "other"))
    install(content, queues=os.environ.get("QUEUES", "content").split(","))
