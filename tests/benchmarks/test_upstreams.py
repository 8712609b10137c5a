"""The upstreams of the benchmark, whose allowance is what they let through."""

import math

import pytest

from benchmarks.recovery.score import allowance
from benchmarks.recovery.shapes import FEWEST, MOST, SHAPES, WORK
from benchmarks.recovery.upstreams import Changing, Shape, exact, nothing, too_large, too_small

DURATION = 60.0
# Seconds of the allowance that a bucket holds at the start; they are let through beside it.
BURSTS = {"calls-and-tokens": 5.0, "tenant": 2.0}


def admitted(shape: Shape, every: float = 0.002) -> int:
    """How much a fleet gets that asks all the time."""
    limiter, count, tokens = shape.limiter(), 0, FEWEST
    running: list[float] = []
    for step in range(round(DURATION / every)):
        now = step * every
        while running and running[0] <= now:
            limiter.finish(running.pop(0))
        if not limiter.take(now, tokens):
            running.append(now + WORK)
            count += 1
            tokens = FEWEST + MOST - tokens
    return count


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_a_shape_lets_through_what_it_says(shape: Shape) -> None:
    allowed = allowance(shape, 0.0, DURATION)
    burst = BURSTS.get(shape.name, 1.0) * shape.allowed(0.0)
    assert 0.96 * allowed <= admitted(shape) <= allowed + burst + 2


def test_an_outage_lets_nothing_through() -> None:
    limiter = Changing({0.0: 10.0, 5.0: 0.0, 10.0: 10.0})
    assert limiter.take(4.9, 1.0) == 0.0
    assert all(limiter.take(5.0 + second, 1.0) == math.inf for second in range(5))
    assert limiter.take(10.0, 1.0) > 0.0
    assert limiter.take(10.2, 1.0) == 0.0


@pytest.mark.parametrize(
    ("hint", "told"), [(exact, 3.0), (nothing, None), (too_small, 0.25), (too_large, 20.0)]
)
def test_what_a_refusal_says(hint, told) -> None:
    assert hint(2.5) == told


def test_an_outage_does_not_say_how_long() -> None:
    assert exact(math.inf) is None
    assert too_small(math.inf) is None
