"""Send jobs: `python producer.py 160`."""

import asyncio
import sys

from app import WorkerSettings
from arq import create_pool


async def send(count: int) -> None:
    pool = await create_pool(WorkerSettings.redis_settings, default_queue_name="content")
    for number in range(count):
        await pool.enqueue_job("call_the_api", number)
    await pool.aclose()


asyncio.run(send(int(sys.argv[1])))
