"""Send jobs: `python producer.py 160`."""

import asyncio
import sys

from app import broker, call_the_api


async def send(count: int) -> None:
    await broker.startup()
    for number in range(count):
        await call_the_api.kiq(number)
    await broker.shutdown()


asyncio.run(send(int(sys.argv[1])))
