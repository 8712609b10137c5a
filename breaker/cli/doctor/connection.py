"""Whether the store answers, and how fast."""

import statistics
import time
from collections.abc import Iterator

import redis

from breaker.cli.doctor.case import Case
from breaker.cli.doctor.finding import Check, Level
from breaker.cli.doctor.permissions import refused_command
from breaker.store.verdicts import only_reads

# The latency shown is the median of this many pings.
PINGS = 5
# Seconds: a slower answer leaves little of the time-out of 250 ms.
SLOW = 0.05


def connection(case: Case) -> Iterator[Check]:
    """Ping the store."""
    took = []
    for _ in range(PINGS):
        start = time.monotonic()
        try:
            case.client.ping()
        except redis.ResponseError as error:
            is_refused_ping = refused_command(str(error), None) == "PING"
            if not is_refused_ping and not only_reads(error):
                raise  # the connection itself was refused
        took.append(time.monotonic() - start)
    yield latency(statistics.median(took))


def latency(seconds: float) -> Check:
    """How fast the store answers."""
    shown = f"answers in {seconds * 1000:.1f} ms"
    if seconds <= SLOW:
        return Check("connection", Level.OK, shown)
    advice = "workers give up after 250 ms; put the store nearer to them"
    return Check("connection", Level.WARN, shown, advice)
