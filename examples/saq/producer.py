"""Send jobs: `python producer.py 160`."""

import asyncio
import sys

from app import queue


async def send(count: int) -> None:
    for number in range(count):
        await queue.enqueue("call_the_api", job=number)
    await queue.disconnect()


asyncio.run(send(int(sys.argv[1])))
