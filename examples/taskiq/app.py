"""The broker: `taskiq worker app:broker`."""

import asyncio
import os
import urllib.request

from taskiq_redis import RedisStreamBroker

from breaker.integrations.taskiq import install

broker = RedisStreamBroker(
    os.environ.get("BROKER_URL", "redis://localhost:6379/0"),
    queue_name="content",
    consumer_id="0",
)
install(broker, queues=["content"])  # the one line; BREAKER_URL names the breaker's store


@broker.task
async def call_the_api(job: int) -> None:
    """One call; a 429 leaves the task as an exception, and nothing here catches it."""
    url = f"{os.environ['UPSTREAM']}/content?job={job}"
    (await asyncio.to_thread(urllib.request.urlopen, url)).close()
