"""The huey: `huey_consumer app.huey`."""

import os
import urllib.request

from huey import RedisHuey

from breaker.integrations.huey import install

huey = RedisHuey("content", url=os.environ.get("BROKER_URL", "redis://localhost:6379/0"))
install(huey)  # the one line; BREAKER_URL names the breaker's store


@huey.task()
def call_the_api(job: int) -> None:
    """One call; a 429 leaves the task as an exception, and nothing here catches it."""
    urllib.request.urlopen(f"{os.environ['UPSTREAM']}/content?job={job}").close()
