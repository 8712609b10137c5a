"""What a run was worth, from the upstream's own log of every call."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from benchmarks.recovery.upstreams import Shape

# Seconds without a call that make a stop, and seconds without an admitted call that make a pause.
GAP = 0.25
# The first pause begins within this after the first 429, or there was none.
SOON = 2.0
# The 429 that trips a breaker by default.
TRIPPING = 5
# Back means this share of the allowance over this many seconds.
WHOLE, WINDOW = 0.95, 2.0
STEP = 0.01


class Logged(NamedTuple):
    """One call, as the upstream logged it."""

    at: float
    tokens: float
    admitted: bool


@dataclass(frozen=True)
class Score:
    """One run.

    Attributes:
        calls: all calls of the run.
        served: those answered 200.
        refused: those answered 429.
        later: those of them from the end of the first pause on, when the limit was known.
        settled: the second from which on `goodput` counts; None if nothing was admitted any more.
        goodput: 200s, as a share of the allowance, from the end of the first pause on. It may
            pass 1 by what a bucket had saved up in that pause.
        overall: the same over the whole run, the first burst included.
        waste: 429s as a share of all calls.
        stop: seconds from the fifth 429 until the fleet stood still; None if it never did.
        back: seconds after an incident until 95 % of the allowance was used again; infinite if
            it was not, None where there was no incident.
    """

    calls: int
    served: int
    refused: int
    later: int
    settled: float | None
    goodput: float
    overall: float
    waste: float
    stop: float | None
    back: float | None


def score(log: Iterable[Logged], shape: Shape, duration: float) -> Score:
    """Judge a run; calls after its end do not count."""
    calls = sorted(call for call in log if call.at <= duration)
    served = [call.at for call in calls if call.admitted]
    refused = [call.at for call in calls if not call.admitted]
    settled = settled_at(served, refused)
    return Score(
        calls=len(calls),
        served=len(served),
        refused=len(refused),
        later=0 if settled is None else len(refused) - bisect_left(refused, settled),
        settled=settled,
        goodput=0.0 if settled is None else _goodput(served, shape, settled, duration),
        overall=_goodput(served, shape, 0.0, duration),
        waste=len(refused) / len(calls) if calls else 0.0,
        stop=stopped_after([call.at for call in calls], refused, duration),
        back=back_after(served, shape, duration),
    )


def settled_at(served: Sequence[float], refused: Sequence[float]) -> float | None:
    """When the first pause was over: the first 200 after a stretch of 429s or of silence.

    The stretch has no 200 for a quarter of a second and begins within two seconds of the first
    429. A fleet without one, which goes on as if nothing had been said, is judged from its first
    200 after the first 429; a fleet that never met a 429, from the start.
    """
    if not refused:
        return 0.0
    first = refused[0]
    before = bisect_right(served, first)
    after = served[before:]
    if not after:
        return None
    for last, following in pairwise([first, *after]):
        if last > first + SOON:
            break
        if following - last >= GAP:
            return following
    return after[0]


def stopped_after(
    calls: Sequence[float], refused: Sequence[float], duration: float
) -> float | None:
    """Seconds from the fifth 429 to the last call before the first gap; None without either."""
    if len(refused) < TRIPPING:
        return None
    tripping = refused[TRIPPING - 1]
    later = calls[bisect_left(calls, tripping) :]
    gaps = pairwise([*later, duration])
    return next((last - tripping for last, following in gaps if following - last >= GAP), None)


def back_after(served: Sequence[float], shape: Shape, duration: float) -> float | None:
    """Seconds from the incident's end until a window that lies after it was full enough."""
    if shape.back_at is None:
        return None
    for place in range(bisect_left(served, shape.back_at), len(served)):
        till = served[place]
        since = max(till - WINDOW, shape.back_at)
        wanted = WHOLE * shape.allowed(till) * WINDOW
        if till <= duration and place + 1 - bisect_left(served, since) >= wanted:
            return till - shape.back_at
    return math.inf


def allowance(shape: Shape, since: float, until: float) -> float:
    """The calls that the upstream would have let through in that time."""
    steps = max(1, math.ceil((until - since) / STEP))
    width = (until - since) / steps
    return math.fsum(
        shape.allowed(since + (number + 0.5) * width) * width for number in range(steps)
    )


def _goodput(served: Sequence[float], shape: Shape, since: float, until: float) -> float:
    allowed = allowance(shape, since, until)
    return (len(served) - bisect_left(served, since)) / allowed if allowed > 0 else 0.0
