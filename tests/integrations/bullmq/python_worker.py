"""A BullMQ worker in Python: its user knows of the breaker by one line."""

import asyncio
import os
import signal
import urllib.error
import urllib.request

from bullmq import Worker
from redis.asyncio import Redis

from breaker.integrations.bullmq import install

UPSTREAM = os.environ["UPSTREAM"]
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


async def main() -> None:
    workers = []
    for queue in ("content", "other"):

        async def process(job, queue=queue):
            url = f"{UPSTREAM}/{queue}?job={job.data['job']}&run={os.getpid()}"
            answer = await asyncio.to_thread(OPENER.open, url)
            answer.close()

        client = Redis.from_url(os.environ["BROKER"], decode_responses=True)
        worker = Worker(queue, two_arguments(process), {"connection": client, "concurrency": 2})
        if queue == "content":
            install(worker, requeue=os.environ.get("REQUEUE") != "no")
        workers.append(worker)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    await ended.wait()
    for worker in workers:
        await worker.close()


def two_arguments(process):
    """BullMQ hands a third argument to a processor that takes one."""

    async def run(job, token):
        await process(job)

    return run


asyncio.run(main())
