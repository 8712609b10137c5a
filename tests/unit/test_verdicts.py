"""An outage passes and lets jobs run; a refusal does not pass and is said at once."""

import ssl

import pytest
import redis

from breaker.errors import StoreRefused, StoreUnavailable
from breaker.store.target import Target
from breaker.store.verdicts import only_reads, translate

PLAIN = Target.of_url("redis://certificate.limit.example/0")
TLS = Target.of_url("rediss://quota.example/0")


def wrapped(inner):
    """As redis-py raises it: while it handles the other one."""
    try:
        try:
            raise inner
        except OSError as error:
            message = f"Error connecting: {error}"
            raise redis.ConnectionError(message)  # noqa: B904 - as redis-py does
    except redis.ConnectionError as error:
        return error


OUTAGES = [
    redis.ConnectionError("Error 111 connecting to certificate.limit.example:6379"),
    redis.TimeoutError("Timeout reading from socket"),
    redis.exceptions.BusyLoadingError("Redis is loading the dataset in memory"),
    redis.exceptions.ReadOnlyError("You can't write against a read only replica."),
    redis.ResponseError("NOREPLICAS Not enough good replicas to write."),
    redis.ResponseError("MISCONF Valkey is configured to save RDB snapshots"),
    redis.ResponseError("BUSY Redis is busy running a script"),
    redis.ResponseError("Error running script (call to f_1): @user_script:36: -READONLY You"),
    redis.ResponseError("Error running script (call to f_1): @user_script: 9: -OOM command"),
    redis.ResponseError("max daily request limit exceeded. Limit: 10000, Usage: 10000."),
    redis.ResponseError("ERR max requests limit exceeded"),
    redis.ResponseError("ERR upstream failure"),
    redis.ResponseError("max number of clients reached"),
    redis.ResponseError("ERR too many connections"),
    OSError("nothing there"),
    RuntimeError("cannot schedule new futures after shutdown"),
    wrapped(ssl.SSLEOFError(8, "EOF occurred in violation of protocol")),
]
REFUSALS = [
    redis.AuthenticationError("invalid username-password pair or user is disabled."),
    redis.exceptions.NoPermissionError("this user has no permissions to run 'evalsha'"),
    redis.ResponseError("NOAUTH Authentication required."),
    redis.ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value"),
    redis.ResponseError("ERR unknown command 'EVALSHA', with args beginning with: 'limit'"),
    redis.ResponseError(
        "unknown command 'EVALSHA', with args beginning with: 'quota exceeded'"
    ),
    redis.ResponseError("ACL failure in script: User limit has no permissions to run 'time'"),
    redis.ResponseError("DB index is out of range"),
    redis.ResponseError("user_script:12: attempt to index a nil value 'timeout'"),
    wrapped(ssl.SSLCertVerificationError(1, "certificate verify failed")),
    wrapped(ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number")),
]


@pytest.mark.parametrize("error", OUTAGES, ids=str)
def test_an_outage(error):
    assert isinstance(translate(error, PLAIN), StoreUnavailable)


@pytest.mark.parametrize("error", REFUSALS, ids=str)
def test_a_refusal(error):
    assert isinstance(translate(error, PLAIN), StoreRefused)


def test_a_missing_file_is_a_refusal_where_there_is_tls():
    missing = wrapped(FileNotFoundError(2, "No such file or directory"))
    assert isinstance(translate(missing, TLS), StoreRefused)
    assert isinstance(translate(missing, PLAIN), StoreUnavailable)


def test_what_only_reads():
    assert only_reads(redis.ResponseError("OOM command not allowed"))
    assert only_reads(redis.ResponseError("Error running script: @user_script: 3: -MISCONF x"))
    assert not only_reads(redis.ResponseError("LOADING Redis is loading"))
    assert not only_reads(redis.ResponseError("WRONGTYPE 'READONLY'"))


ANSWERED = [
    redis.exceptions.OutOfMemoryError("used memory"),
    redis.ResponseError("OOM command not allowed"),
    redis.exceptions.ReadOnlyError("a replica"),
    redis.exceptions.BusyLoadingError("loading"),
]


@pytest.mark.parametrize("error", ANSWERED, ids=str)
def test_a_store_that_answers_is_not_said_to_be_silent(error):
    assert "refuses for now: " in str(translate(error, PLAIN))


def test_a_store_that_is_silent_is_said_to_be():
    assert "does not answer: " in str(translate(redis.TimeoutError("Timeout"), PLAIN))
