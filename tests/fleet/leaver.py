"""A worker that closes nothing: `python -m tests.fleet.leaver sync|async HOW URL NAME`."""

import asyncio
import signal
import sys
import threading

from breaker import AsyncBreaker, Breaker
from tests.contract.waiting import eventually


def in_a_thread():
    thread = threading.Thread(target=sys.exit, args=(3,))
    thread.start()
    thread.join()


LEAVE = {
    "returns": lambda: None,
    "exits": lambda: sys.exit(3),
    "exits in a thread": in_a_thread,
    "is told to end": signal.pause,
}


def breaker_in_use(face, url, name):
    if face == "sync":
        breaker = Breaker(name, url=url)
        breaker.acquire().success()
    else:
        breaker = AsyncBreaker(name, url=url)

        async def work():
            async with breaker.guard():
                pass

        asyncio.run(work())
    eventually(lambda: breaker.staleness is not None)
    return breaker


def main(face, how, url, name):
    breaker = breaker_in_use(face, url, name)
    print("ready", flush=True)  # noqa: T201 - the test waits for it
    LEAVE[how]()
    assert breaker


if __name__ == "__main__":
    main(*sys.argv[1:])
