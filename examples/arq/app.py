"""The worker's settings: `python -m breaker.integrations.arq app.WorkerSettings`."""

import asyncio
import os
import urllib.request

from arq.connections import RedisSettings

url = os.environ.get("BROKER_URL", "redis://localhost:6379/0")


async def call_the_api(_context: dict, job: int) -> None:
    """One call; a 429 leaves the job as an exception, and nothing here catches it."""
    address = f"{os.environ['UPSTREAM']}/content?job={job}"
    (await asyncio.to_thread(urllib.request.urlopen, address)).close()


class WorkerSettings:
    """As for `arq app.WorkerSettings`; BREAKER_URL names the breaker's store."""

    functions = (call_the_api,)
    queue_name = "content"
    redis_settings = RedisSettings.from_dsn(url)
    max_jobs = 2
    poll_delay = 0.1
