"""How far the store's clock is from this machine's."""

import time
from collections.abc import Iterator

from breaker.cli.doctor.case import Case
from breaker.cli.doctor.finding import Check, Level
from breaker.cli.durations import exact

# Seconds: a larger difference between two clocks is more than imprecision.
SKEWED = 2.0


def clock(case: Case) -> Iterator[Check]:
    """Compare the store's clock with this machine's."""
    before = time.time()
    seconds, microseconds = case.client.time()
    yield apart(seconds + microseconds / 1e6 - (before + time.time()) / 2)


def apart(ahead: float) -> Check:
    """What a difference means, in seconds by which the store's clock is ahead."""
    if abs(ahead) <= SKEWED:
        return Check("clock", Level.OK, f"{abs(ahead) * 1000:.0f} ms from this machine's")
    order = "ahead of" if ahead > 0 else "behind"
    shown = f"the store's clock is {exact(abs(round(ahead)))} {order} this machine's"
    advice = "breakers use the store's clock alone, but times shown are off: set both by NTP"
    return Check("clock", Level.WARN, shown, advice)
