"""How long after the trip the last of many workers is paused."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from ctypes import Array, c_double
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

import redis

from benchmarks.crew import SPAWN, Crew, now
from benchmarks.figures import Figure, Target, median_of, percentile_of
from benchmarks.store import wait_until
from breaker import Breaker
from breaker.model import Status

NAME = "reaction"
BARE_CHANNEL = "bench-bare"
PROCESSES = 16
# Seconds between two trips: no process still works on the last one.
PAUSE = 0.01


def measure(url: str) -> Iterator[Figure]:
    """Yield the time to the last of 16 processes, and of 256 subscriptions in 16 processes."""
    bare = _publications(url, times=300)
    what = f"last of {PROCESSES} bare subscribers ({PROCESSES} processes), for comparison"
    yield median_of(NAME, what, "ms", bare)
    yield percentile_of(NAME, what, "ms", bare, share=0.99)
    spans = _trips(url, each=1, trips=300)
    what = f"last of {PROCESSES} subscribers ({PROCESSES} processes)"
    yield median_of(NAME, what, "ms", spans)
    yield percentile_of(NAME, what, "ms", spans, share=0.99, target=Target(4.0))
    many = 16
    spans = _trips(url, each=many, trips=40)
    what = (
        f"last of {PROCESSES * many} subscribers "
        f"({PROCESSES} processes x {many} connections and threads)"
    )
    yield median_of(NAME, what, "ms", spans)  # too few trips to speak of a p99


def _publications(url: str, *, times: int) -> list[float]:
    """The same without a breaker: PUBLISH, and redis-py's own subscribers."""
    heard = SPAWN.RawArray(c_double, [-1.0] * PROCESSES)
    spans = []
    with (
        Crew(PROCESSES, _bare_member, url, heard) as crew,
        redis.Redis.from_url(url) as client,
    ):
        crew.ask("ready?")
        for _ in range(times):
            client.publish(BARE_CHANNEL, b"0")
            wait_until(lambda: max(heard) == min(heard) == 0.0, "all run")
            time.sleep(PAUSE)
            began = now()
            client.publish(BARE_CHANNEL, b"1")
            time.sleep(PAUSE)
            wait_until(lambda: min(heard) > 0.0, "all are paused")
            spans.append((max(heard) - began) * 1000)
    return spans


def _bare_member(connection: Connection, number: int, url: str, heard: Array[c_double]) -> None:
    def note(message: dict[str, Any]) -> None:
        heard[number] = now() if message["data"] == b"1" else 0.0

    with redis.Redis.from_url(url) as client, client.pubsub() as subscriber:
        subscriber.subscribe(**{BARE_CHANNEL: note})
        wait_until(lambda: bool(subscriber.get_message(timeout=1)), "it subscribes")
        thread = subscriber.run_in_thread(sleep_time=1.0, daemon=True)
        client.publish(BARE_CHANNEL, b"0")
        connection.recv()
        wait_until(lambda: heard[number] >= 0.0, "it hears")
        connection.send(True)
        try:
            connection.recv()
        except EOFError:
            thread.stop()


def _trips(url: str, *, each: int, trips: int) -> list[float]:
    """Trip so often; return the milliseconds of each until the last subscriber was paused.

    The clock starts before the error is reported, so the trip's own round trip is within.
    """
    size = PROCESSES * each
    # When each subscriber heard of the pause; 0 while it runs. Shared memory, for a message to
    # this process would take processor time from those that are still to be woken.
    heard = SPAWN.RawArray(c_double, [-1.0] * size)
    name = f"reaction-{size}"
    spans = []
    with (
        Crew(PROCESSES, _member, url, name, each, heard) as crew,
        Breaker(name, url=url, threshold=1, push=False) as tripping,
    ):
        crew.ask("ready?")
        for _ in range(trips):
            tripping.resume()
            wait_until(lambda: max(heard) == min(heard) == 0.0, "all run")
            time.sleep(PAUSE)
            began = now()
            tripping.record_rate_limit_error()
            # Away from the processor: it belongs to the subscribers.
            time.sleep(PAUSE)
            wait_until(lambda: min(heard) > 0.0, "all are paused")
            spans.append((max(heard) - began) * 1000)
    return spans


def _member(  # noqa: PLR0917 - a process is given all it has to know at once
    connection: Connection, number: int, url: str, name: str, each: int, heard: Array[c_double]
) -> None:
    def note(place: int, status: Status) -> None:
        heard[place] = now() if status.is_paused else 0.0

    with ExitStack() as stack:
        for place in range(number * each, (number + 1) * each):
            # Breakers of one process share a subscription. Another connection name makes it
            # another store to them, and each a subscriber of its own, as in separate processes.
            own = f"{url}?client_name=subscriber-{place}"
            subscriber = stack.enter_context(Breaker(name, url=own))
            subscriber.subscribe(partial(note, place))
        connection.recv()
        wait_until(lambda: min(heard[number * each : (number + 1) * each]) >= 0.0, "all hear")
        connection.send(True)
        try:
            connection.recv()
        except EOFError:
            return
