"""The token bucket, on a clock moved by hand."""

import pytest

from breaker.demo.bucket import TokenBucket


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


def taken(bucket: TokenBucket, calls: int) -> int:
    """How many of `calls` calls at once are admitted."""
    return [bucket.take() for _ in range(calls)].count(0)


def test_it_starts_full(clock):
    assert taken(TokenBucket(10, 5, clock), 20) == 5


def test_tokens_come_in_at_the_rate(clock):
    bucket = TokenBucket(10, 5, clock)
    taken(bucket, 5)
    clock.now += 0.31
    assert taken(bucket, 20) == 3


def test_it_never_holds_more_than_its_capacity(clock):
    bucket = TokenBucket(10, 5, clock)
    clock.now += 3600
    assert taken(bucket, 20) == 5


@pytest.mark.parametrize(("rate", "wait"), [(10, 1), (1, 1), (0.5, 2), (0.3, 4)])
def test_it_tells_in_whole_seconds_when_there_is_a_token_again(clock, rate, wait):
    bucket = TokenBucket(rate, 1, clock)
    assert bucket.take() == 0
    assert bucket.take() == wait
    clock.now += wait
    assert bucket.take() == 0


def test_a_refused_call_costs_nothing(clock):
    bucket = TokenBucket(1, 1, clock)
    taken(bucket, 50)
    clock.now += 1
    assert bucket.take() == 0


def test_what_others_spend_ahead_is_gone_for_so_long(clock):
    bucket = TokenBucket(8, 8, clock)
    bucket.spend_ahead(12)
    assert bucket.take() == 13
    clock.now += 12
    assert bucket.take() == 1
    clock.now += 1 / 8
    assert bucket.take() == 0
