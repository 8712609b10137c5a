"""The upstreams that the policies are tried on, scaled to the length of a run."""

from collections.abc import Iterator
from functools import partial

from benchmarks.recovery.upstreams import (
    CallsAndTokens,
    Changing,
    ConcurrencyCap,
    FixedWindow,
    Shape,
    Shared,
    SlidingWindow,
    TokenBucket,
    by_time,
    nothing,
    steadily,
    too_large,
    too_small,
)

RATE = 100.0
DURATION = 60.0
# How long a call takes that is let through.
WORK = 0.05
# Tokens of a call, evenly spread between these.
FEWEST, MOST = 500, 1500
# What is left of the allowance in an incident, and what a slow upstream has.
TRICKLE = 2.0
# An incident is judged by what came before and after it, too.
LONGER = 3.0
# The share of its calls that the tokens of an upstream with two buckets last for.
TOKENS_FOR = 0.8
# What a fleet wants that is only a little too large, as multiples of what is allowed.
EXCESSES = (1.05, 1.3, 2.0)
# The share of 429s that is allowed there: a success always comes in between, so that it takes a
# while to see that they are too many.
EXCESS_WASTE = 0.02


def shapes(rate: float = RATE, duration: float = DURATION) -> tuple[Shape, ...]:
    """All upstreams, for a rate in calls per second and a run in seconds."""
    bucket, steady = partial(TokenBucket, rate), steadily(rate)
    return (
        Shape("token-bucket", "tokens at a steady rate, kept for 1 s", bucket, steady),
        *_windows(rate, duration),
        Shape(
            "concurrency-cap",
            "a number of calls at the same time; Retry-After 1",
            partial(ConcurrencyCap, max(1, round(rate * WORK)), 1.0),
            steady,
        ),
        _calls_and_tokens(rate, duration),
        *_troubles(rate, duration),
        Shape("no-retry-after", "token bucket without Retry-After", bucket, steady, nothing),
        Shape(
            "small-retry-after", "token bucket, a tenth of the wait", bucket, steady, too_small
        ),
        Shape("large-retry-after", "token bucket, always 20 s", bucket, steady, too_large),
        Shape(
            "tenant",
            "token bucket, another takes half of it",
            partial(Shared, rate, rate / 2),
            steadily(rate / 2),
        ),
        Shape(
            "slow",
            f"token bucket of {TRICKLE:g}/s, burst 2",
            partial(TokenBucket, TRICKLE, 2.0),
            steadily(TRICKLE),
        ),
        *_excesses(rate),
    )


def _excesses(rate: float) -> Iterator[Shape]:
    for times in EXCESSES:
        yield Shape(
            f"demand-{times:g}",
            f"token bucket, the fleet wants {times:g} times of it",
            partial(TokenBucket, rate),
            steadily(rate),
            demand=times * rate,
            most_waste=EXCESS_WASTE,
        )


def _windows(rate: float, duration: float) -> tuple[Shape, ...]:
    seconds = duration / 6
    calls = round(rate * seconds)
    what = f"{calls} calls in {seconds:g} s"
    return (
        Shape(
            "fixed-window",
            f"{what}, counted anew each time",
            partial(FixedWindow, calls, seconds),
            steadily(rate),
        ),
        Shape(
            "sliding-window",
            f"{what}, at any moment",
            partial(SlidingWindow, calls, seconds),
            steadily(rate),
        ),
    )


def _calls_and_tokens(rate: float, duration: float) -> Shape:
    calls = TOKENS_FOR * rate
    return Shape(
        "calls-and-tokens",
        f"two buckets; the tokens last for {calls:g} calls/s",
        partial(CallsAndTokens, rate, calls * (FEWEST + MOST) / 2, duration / 12),
        steadily(calls),
    )


def _troubles(rate: float, duration: float) -> tuple[Shape, ...]:
    low, dark = duration / 2, duration * 5 / 12
    incident = {0.0: rate, duration / 4: TRICKLE, low: rate}
    outage = {0.0: rate, duration / 4: 0.0, dark: rate}
    return (
        Shape(
            "incident",
            f"token bucket, {TRICKLE:g}/s from {duration / 4:g} s to {low:g} s",
            partial(Changing, incident),
            by_time(incident),
            back_at=low,
            times=LONGER,
        ),
        Shape(
            "outage",
            f"token bucket, nothing from {duration / 4:g} s to {dark:g} s",
            partial(Changing, outage),
            by_time(outage),
            back_at=dark,
            times=LONGER,
        ),
    )


SHAPES = shapes()


def shape_named(name: str, rate: float, duration: float) -> Shape:
    """One of them; processes hand each other its name, for a Shape cannot be sent."""
    return next(shape for shape in shapes(rate, duration) if shape.name == name)
