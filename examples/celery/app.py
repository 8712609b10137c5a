"""The application: `celery -A app worker -Q content`."""

import os
import urllib.request

from celery import Celery

from breaker.integrations.celery import install

app = Celery("example", broker=os.environ.get("BROKER_URL", "redis://localhost:6379/0"))
install(app, queues=["content"])  # the one line; BREAKER_URL names the breaker's store


@app.task
def call_the_api(job: int) -> None:
    """One call; a 429 leaves the task as an exception, and nothing here catches it."""
    urllib.request.urlopen(f"{os.environ['UPSTREAM']}/content?job={job}").close()
