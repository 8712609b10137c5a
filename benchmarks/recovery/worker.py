"""A process of the fleet: threads that call the upstream as fast as their policy lets them."""

import http.client
import logging
import os
import random
import signal
import threading
import time
from multiprocessing.connection import Connection

from benchmarks.recovery.calls import Answer, Call, Gate, Place
from benchmarks.recovery.policies import POLICIES
from benchmarks.recovery.server import HOST
from benchmarks.recovery.shapes import FEWEST, MOST

# What a job takes beside its call, so that a fleet that is refused has no more than twice the
# calls of one that is served: 32 threads ask for 320 to 640 a second.
BESIDES = 0.05
UNEVEN = 0.2


def work(  # noqa: PLR0917 - a process is given all it has to know at once
    connection: Connection,
    number: int,
    policy: str,
    place: Place,
    port: int,
    threads: int,
    besides: float,
) -> None:
    """Be a member of a crew: get ready, then call from the go until the time given is over."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends it
    logging.getLogger("breaker").setLevel(logging.CRITICAL)  # trips are meant here, not news
    gate = POLICIES[policy].make(place)
    start = threading.Event()
    for thread in range(threads):
        dice = random.Random(number * threads + thread)  # noqa: S311 - runs are to be alike
        threading.Thread(
            target=_loop, args=(start, gate, port, dice, besides), daemon=True
        ).start()
    try:
        connection.recv()
        connection.send(True)
        seconds = connection.recv()
        start.set()
        connection.send(True)
        connection.poll(seconds)
    except (EOFError, OSError):
        pass
    # Threads may be waiting for leave, and whatever they hold ends with the process.
    os._exit(0)


def _loop(
    start: threading.Event, gate: Gate, port: int, dice: random.Random, besides: float
) -> None:
    client = http.client.HTTPConnection(HOST, port)
    client.connect()
    call = _caller(client, dice)
    start.wait()
    time.sleep(dice.uniform(0, besides))  # a fleet does not march in step
    while True:
        gate.run(call)
        time.sleep(besides * dice.uniform(1 - UNEVEN, 1 + UNEVEN))


def _caller(client: http.client.HTTPConnection, dice: random.Random) -> Call:
    tokens = dice.randint(FEWEST, MOST)

    def call() -> Answer:
        nonlocal tokens
        client.request("GET", f"/call?tokens={tokens}")
        response = client.getresponse()
        response.read()
        told = response.getheader("Retry-After")
        ok = response.status == http.HTTPStatus.OK
        if ok:  # a refused job comes back: else small ones would be picked from the large
            tokens = dice.randint(FEWEST, MOST)
        return Answer(ok, float(told) if told else None)

    return call
