"""429 and Retry-After, on the errors and responses of real clients."""

import io
import urllib.error
from datetime import UTC, datetime, timedelta
from email.message import Message
from email.utils import format_datetime
from types import SimpleNamespace

import httpx
import pytest

from breaker import rate_limit


def httpx_error(status, headers=None):
    request = httpx.Request("GET", "http://localhost")
    response = httpx.Response(status, headers=headers, request=request)
    return httpx.HTTPStatusError("no", request=request, response=response)


def test_httpx():
    assert rate_limit(httpx_error(429, {"retry-after": "7"})).retry_after == 7
    assert rate_limit(httpx_error(429, {"retry-after": "7"}).response).retry_after == 7
    assert rate_limit(httpx_error(429)).retry_after is None
    assert rate_limit(httpx_error(503)).kind == "overload"
    assert rate_limit(httpx_error(500)) is None


def test_urllib():
    headers = Message()
    headers["Retry-After"] = "2.5"
    error = urllib.error.HTTPError("http://localhost", 429, "no", headers, io.BytesIO())
    assert rate_limit(error).retry_after == 2.5
    error.close()


def test_a_false_response_is_read_too():
    class Response:
        status_code = 429
        headers = {b"Retry-After": b"3"}  # noqa: RUF012 - as requests has it

        def __bool__(self):
            return False

    error = RuntimeError("no")
    error.response = Response()
    assert rate_limit(error).retry_after == 3


def test_a_date():
    soon = datetime.now(UTC) + timedelta(seconds=90)
    wait = rate_limit(httpx_error(429, {"Retry-After": format_datetime(soon, usegmt=True)}))
    assert 80 < wait.retry_after <= 90


@pytest.mark.parametrize(
    "text",
    [
        *("Thu, 15 Jan 2026 12:00:30 GMT", "Thursday, 15-Jan-26 12:00:30 GMT"),
        *("Thu Jan 15 12:00:30 2026", "2026-01-15T12:00:30Z", "1768478430", "1768478430000"),
        *("30s", "0m30s", "30.0", "5, 30", "30, 5", "30000ms", "30 seconds", "0:00:30"),
        # The zones of JavaScript, Go, Ruby and Python.
        "Thu Jan 15 2026 14:00:30 GMT+0200 (Central European Summer Time)",
        *("Thu Jan 15 2026 04:00:30 GMT-0800 (PST)", "2026-01-15 12:00:30 +0000 UTC"),
        *("2026-01-15 21:00:30 +0900", "2026-01-15 12:00:30 UTC", "2026-01-15T07:00:30-05:00"),
    ],
)
def test_every_way_to_say_thirty_seconds(text):
    headers = {"Retry-After": text, "Date": "Thu, 15 Jan 2026 12:00:00 GMT"}
    assert rate_limit(httpx_error(429, headers)).retry_after == 30


@pytest.mark.parametrize(
    "text",
    [
        *("0", "-5", "nan", "inf", "soon", "", "Wed, 21 Oct 2015 07:28:00 GMT"),
        "Thu, 01 Jan 99999999999 00:00:00 GMT",
        # The zone is not understood, so the hour is not known.
        *("Thu, 15 Jan 2099 14:00:30 CEST", "2099-01-15 14:00:30 Europe/Berlin"),
    ],
)
def test_an_unusable_hint_is_none(text):
    assert rate_limit(httpx_error(429, {"Retry-After": text})).retry_after is None


def test_a_hint_is_at_most_a_day():
    assert rate_limit(httpx_error(429, {"Retry-After": "1e20"})).retry_after == 86_400


@pytest.mark.parametrize(
    "other", [ValueError("429"), None, KeyError(429), SimpleNamespace(status_code="429 ")]
)
def test_what_is_none(other):
    assert rate_limit(other) is None


def test_it_never_raises():
    class Hostile(Exception):
        def __getattr__(self, name):
            raise RuntimeError(name)

    assert rate_limit(Hostile()) is None


def test_nor_for_what_it_cannot_show():
    class Silent:
        def __str__(self):
            raise RuntimeError

    error = SimpleNamespace(status=429, headers={Silent(): "1"}, retry_after=Silent())
    assert rate_limit(error).retry_after is None
    error = SimpleNamespace(status=429, headers=[("retry-after", [b"4"])], retry_after=10**400)
    assert rate_limit(error).retry_after == 4
    error.headers = None
    assert rate_limit(error).retry_after is None
