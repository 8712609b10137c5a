"""The hueys of the contract: a huey is one queue."""

import os

if os.environ.get("GEVENT"):
    from gevent import monkey

    monkey.patch_all()

import functools

from huey import RedisHuey

from breaker.integrations.huey import install
from tests.integrations.apps.work import call


@functools.cache
def make(queue, url):
    """A huey with one task; the task's module and name are all that a message says of it."""
    huey = RedisHuey(queue, url=url)

    @huey.task(name=queue, context=True)
    def run(job, task):
        call(queue, job, task.default_retries - task.retries)

    return huey, run


if broker := os.environ.get("BROKER"):
    content, other = (make(queue, broker)[0] for queue in ("content", "other"))
    install(content, queues=os.environ.get("QUEUES", "content").split(","))
