"""The SAQ queues of the contract: a worker has one queue."""

import asyncio
import os

from saq import Queue

from breaker.integrations.saq import install
from tests.integrations.apps.work import call


async def content(context, *, job):
    await asyncio.to_thread(call, "content", job, context["job"].attempts - 1)


async def other(_context, *, job):
    await asyncio.to_thread(call, "other", job)


def settings_of(queue, function):
    return {"queue": queue, "functions": [function], "concurrency": 2}


if url := os.environ.get("BROKER"):
    guarded = Queue.from_url(url, name="content")
    install(guarded, queues=os.environ.get("QUEUES", "content").split(","))
    content_settings = settings_of(guarded, content)
    other_settings = settings_of(Queue.from_url(url, name="other"), other)
