"""The jobs. Nothing here knows of a breaker: the worker class and BREAKER_QUEUES are all."""

import os
import urllib.request


def call_the_api(job: int) -> None:
    """One call; a 429 leaves the job as an exception, and nothing here catches it."""
    urllib.request.urlopen(f"{os.environ['UPSTREAM']}/content?job={job}").close()
