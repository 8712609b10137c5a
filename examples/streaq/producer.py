"""Send jobs: `python producer.py 160`."""

import asyncio
import sys

from app import call_the_api, worker


async def send(count: int) -> None:
    async with worker:
        for number in range(count):
            await call_the_api.enqueue(number)


asyncio.run(send(int(sys.argv[1])))
