"""The worker: `streaq run app:worker`."""

import asyncio
import os
import urllib.request

from streaq import Worker

from breaker.integrations.streaq import install

url = os.environ.get("BROKER_URL", "redis://localhost:6379/0")
worker = Worker(redis_url=url, queue_name="content", concurrency=2)
install(worker)  # the one line; BREAKER_URL names the breaker's store


@worker.task
async def call_the_api(job: int) -> None:
    """One call; a 429 leaves the task as an exception, and nothing here catches it."""
    address = f"{os.environ['UPSTREAM']}/content?job={job}"
    (await asyncio.to_thread(urllib.request.urlopen, address)).close()
