"""What an error of the store means: an outage, which may pass, or a refusal, which will not."""

import redis

from breaker.errors import StoreError, StoreRefused, StoreUnavailable
from breaker.store.target import Target

_OUTAGES = (
    "LOADING",
    "READONLY",
    "OOM ",
    "MISCONF",
    "NOREPLICAS",
    "MASTERDOWN",
    "BUSY ",
    "CLUSTERDOWN",
    "TRYAGAIN",
    "max number of clients",
    "maxmemory",
)
# For errors that have their own class, redis-py strips the code from the message, so these are
# matched by class.
_PASSING = (
    redis.ConnectionError,
    redis.TimeoutError,
    redis.exceptions.ReadOnlyError,
    redis.exceptions.ClusterDownError,
    redis.exceptions.MasterDownError,
    redis.exceptions.TryAgainError,
    redis.exceptions.OutOfMemoryError,
    OSError,
)
# Errors that a server sent, which therefore was reached.
_ANSWERED = (redis.ResponseError, redis.exceptions.BusyLoadingError)
_ONLY_READS = ("READONLY", "OOM ", "maxmemory", "MISCONF", "NOREPLICAS")
_REFUSALS = ("AUTH", "WRONGPASS", "NOPERM", "NOAUTH", "SSL", "certificate", "invalid username")


def is_store_error(error: Exception) -> bool:
    """Whether it is the store's, and not a fault of ours."""
    return isinstance(error, redis.RedisError | OSError | StoreError)


def only_reads(error: Exception) -> bool:
    """Whether the store is there, but takes no writes for now."""
    kinds = redis.exceptions.ReadOnlyError | redis.exceptions.OutOfMemoryError
    return isinstance(error, kinds) or any(code in str(error) for code in _ONLY_READS)


def translate(error: Exception, target: Target) -> StoreError:
    """Tell an outage, which may pass, from a configuration error, which will not.

    Redis 6.2 wraps an error inside a script, so that its code stands only in the text.
    """
    text = str(error)
    refused = isinstance(
        error, redis.AuthenticationError | redis.exceptions.AuthorizationError
    ) or any(sign in text for sign in _REFUSALS)
    passing = isinstance(error, _PASSING) or any(code in text for code in _OUTAGES)
    if passing and not refused:
        answered = isinstance(error, _ANSWERED) or any(code in text for code in _OUTAGES)
        fault = "refuses for now" if answered else "does not answer"
        return StoreUnavailable(f"the store at {target} {fault}: {text}")
    return StoreRefused(f"the store at {target} refused: {text}")
