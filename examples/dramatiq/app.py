"""The actors: `dramatiq app`."""

import os
import urllib.request

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from breaker.integrations.dramatiq import install

broker = RedisBroker(url=os.environ.get("BROKER_URL", "redis://localhost:6379/0"))
install(broker, queues=["content"])  # the one line; BREAKER_URL names the breaker's store
dramatiq.set_broker(broker)


@dramatiq.actor(queue_name="content")
def call_the_api(job: int) -> None:
    """One call; a 429 leaves the actor as an exception, and nothing here catches it."""
    urllib.request.urlopen(f"{os.environ['UPSTREAM']}/content?job={job}").close()
