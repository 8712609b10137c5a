"""The arq workers of the contract: a worker has one queue."""

import asyncio
import os

from arq.connections import RedisSettings

from tests.integrations.apps.work import call


async def content(context, job):
    await asyncio.to_thread(call, "content", job, context["job_try"] - 1)


async def other(_context, job):
    await asyncio.to_thread(call, "other", job)


def settings_of(function):
    # A worker starts at most `max_jobs` with each poll.
    return {
        "functions": [function],
        "queue_name": function.__name__,
        "redis_settings": RedisSettings.from_dsn(os.environ["BROKER"]),
        "max_jobs": 2,
        "max_tries": 1,
        "job_timeout": 3,
        "poll_delay": 0.1,
    }


if "BROKER" in os.environ:
    content_settings, other_settings = settings_of(content), settings_of(other)
