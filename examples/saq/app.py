"""The queue and the worker's settings: `saq app.settings`."""

import asyncio
import os
import urllib.request

from saq import Queue

from breaker.integrations.saq import install

queue = Queue.from_url(os.environ.get("BROKER_URL", "redis://localhost:6379/0"), name="content")
install(queue)  # the one line; BREAKER_URL names the breaker's store


async def call_the_api(_context: dict, *, job: int) -> None:
    """One call; a 429 leaves the job as an exception, and nothing here catches it."""
    url = f"{os.environ['UPSTREAM']}/content?job={job}"
    (await asyncio.to_thread(urllib.request.urlopen, url)).close()


settings = {"queue": queue, "functions": [call_the_api], "concurrency": 2}
