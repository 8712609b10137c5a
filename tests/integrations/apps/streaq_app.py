"""The streaQ workers of the contract: a worker has one queue."""

import asyncio
import os

from streaq import Worker

from breaker.integrations.streaq import install
from tests.integrations.apps.work import call


def make(queue, url):
    """A worker with one task, which has the queue's name."""
    worker = Worker(redis_url=url, queue_name=queue, concurrency=2, idle_timeout=5)

    @worker.task(name=queue, max_tries=1)
    async def run(job):
        await asyncio.to_thread(call, queue, job, run.context.tries - 1)

    return worker, run


if url := os.environ.get("BROKER"):
    content, other = (make(queue, url)[0] for queue in ("content", "other"))
    install(content, queues=os.environ.get("QUEUES", "content").split(","))
