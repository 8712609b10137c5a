"""What is said of a store that fails."""

import pytest
import redis

from breaker import StoreRefused, StoreUnavailable
from breaker.store.target import Target
from breaker.store.verdicts import translate

TARGET = Target.of_url("redis://localhost:1/0")


@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [
        (redis.ConnectionError("Connection refused"), StoreUnavailable, "does not answer: "),
        (redis.TimeoutError("Timeout reading"), StoreUnavailable, "does not answer: "),
        (
            redis.exceptions.OutOfMemoryError("used memory"),
            StoreUnavailable,
            "refuses for now: ",
        ),
        (redis.ResponseError("OOM command not allowed"), StoreUnavailable, "refuses for now: "),
        (redis.exceptions.ReadOnlyError("a replica"), StoreUnavailable, "refuses for now: "),
        (redis.exceptions.BusyLoadingError("loading"), StoreUnavailable, "refuses for now: "),
        (redis.AuthenticationError("WRONGPASS"), StoreRefused, "refused: "),
        (redis.ResponseError("WRONGTYPE Operation"), StoreRefused, "refused: "),
    ],
)
def test_a_store_that_answers_is_not_said_to_be_silent(error, kind, says):
    verdict = translate(error, TARGET)
    assert type(verdict) is kind
    assert str(verdict).startswith(f"the store at redis://localhost:1/0 {says}")
