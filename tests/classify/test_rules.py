"""One test for each rule of the classifier, on the least that the rule needs."""

import json
import warnings
from datetime import timedelta
from types import SimpleNamespace

import httpx
import pytest

from breaker import BreakerOpen, rate_limit
from breaker.classify import explain, wait_of

NOW = 1_768_478_400.0


def error(name, text="", bases=(Exception,), **attributes):
    made = type(name, bases, {"__module__": "client.errors"})(text)
    made.__dict__.update(attributes)
    return made


def answer(status, body=None, headers=None, **more):
    text = body if isinstance(body, str) else json.dumps(body) if body is not None else ""
    found = {"status_code": status, "headers": headers or {}, "content": text.encode()}
    return SimpleNamespace(**found, **more)


def kind(given):
    found = rate_limit(given, NOW)
    return found and found.kind


def wait(given):
    found = rate_limit(given, NOW)
    return found and found.retry_after


# -- what an own answer of an open breaker is


def test_an_answer_of_our_own_is_never_counted():
    ours = answer(429, headers={"X-Breaker": "open", "Retry-After": "5"})
    assert rate_limit(ours) is None
    assert rate_limit(error("RateLimitError", status_code=429, response=ours)) is None
    wrapper = RuntimeError("job failed")
    wrapper.__cause__ = error("RateLimitError", status_code=429, response=ours)
    assert rate_limit(wrapper) is None


def test_a_breakers_own_error_is_never_counted():
    inner = BreakerOpen("content", retry_after=3.0, epoch=1, state="open")
    outer = RuntimeError("429 Too Many Requests")
    inner.__cause__ = outer
    assert rate_limit(inner) is None
    again = RuntimeError("job failed")
    again.__cause__ = inner
    assert rate_limit(again) is None


# -- what touches no network


class Unread:
    """A response of requests, before its body has been fetched."""

    status_code = 429
    headers = {"Retry-After": "3"}  # noqa: RUF012 - as requests has it
    _content = False

    @property
    def content(self):
        pytest.fail("it read the body from the network")

    text = content


def test_a_body_that_is_still_on_the_network_stays_there():
    assert wait(Unread()) == 3
    urllib3 = SimpleNamespace(
        status=429, headers={"Retry-After": "4"}, _fp=object(), _body=None
    )
    assert wait(urllib3) == 4


def test_a_coroutine_is_not_begun():
    async def text():
        return "quota"

    assert kind(SimpleNamespace(status=429, headers={}, text=text)) == "rate_limit"


def test_a_deprecated_attribute_is_not_read_in_vain():
    class ClientResponseError(Exception):
        status = 429
        headers = None

        @property
        def code(self):
            warnings.warn("code is deprecated", DeprecationWarning, stacklevel=2)
            return self.status

    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        assert kind(ClientResponseError()) == "rate_limit"
    assert not seen


# -- statuses and codes


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        *((429, "rate_limit"), (420, "rate_limit"), (402, "quota"), (503, "overload")),
        *((529, "overload"), (498, "overload"), (403, None), (418, None), (413, None)),
        *((400, None), (404, None), (408, None), (409, None), (425, None), (500, None)),
        *(
            (502, None),
            (504, None),
            (200, None),
            (0, None),
            (True, None),
            ("429", "rate_limit"),
        ),
        *(("429 Too Many Requests", "rate_limit"), ("4290", None), (4290, None)),
    ],
)
def test_a_status(status, expected):
    assert kind(error("ApiError", "Rate limit info", status_code=status)) == expected


def test_a_code_decides_before_the_status():
    body = {"error": {"type": "insufficient_quota", "message": "no"}}
    assert kind(answer(429, body)) == "quota"
    assert kind(answer(400, {"error": {"code": "billing_hard_limit_reached"}})) == "quota"
    assert (
        kind(answer(200, {"errors": [{"extensions": {"code": "THROTTLED"}}]})) == "rate_limit"
    )
    assert kind(answer(500, {"error": {"code": "rate_limit_exceeded"}})) is None
    assert kind(answer(429, {"error": {"code": "token_quota_exceeded"}})) == "rate_limit"


def test_a_response_that_went_through_is_data():
    assert kind(answer(200, {"policies": [{"type": "rate_limit"}]})) is None
    assert kind(answer(200, {"ok": False, "error": "ratelimited"})) == "rate_limit"
    assert (
        kind(error("GraphqlError", status_code=200, body={"code": "THROTTLED"})) == "rate_limit"
    )


def test_the_codes_of_aws():
    assert kind(answer(400, {"__type": "com.amazon.coral#ThrottlingException"})) == "rate_limit"
    named = {"x-amzn-errortype": "ThrottlingException:http://internal.amazon.com/"}
    assert kind(answer(400, headers=named)) == "rate_limit"
    xml = "<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>no</Message></Error>"
    assert kind(answer(503, xml)) == "rate_limit"


def test_an_echo_of_the_request_says_nothing():
    body = {"detail": [{"type": "missing", "input": {"type": "rate_limit_exceeded"}}]}
    assert kind(answer(400, body)) is None


def test_a_balance_that_is_not_the_callers():
    assert kind(error("InsufficientFunds", "Account has insufficient balance")) is None
    assert kind(answer(400, {"code": -2010, "msg": "Account has insufficient balance"})) is None
    assert kind(answer(429, {"error": {"message": "insufficient balance"}})) == "quota"
    assert kind(ValueError("Your credit balance is too low")) is None


def test_a_card_is_one_customers():
    assert kind(answer(402, {"error": {"type": "card_error", "code": "card_declined"}})) is None


def test_what_is_too_big_never_passes():
    assert kind(answer(429, {"error": {"message": "Request too large for model"}})) is None


def test_the_window_of_a_day():
    body = {"error": {"message": "Rate limit reached: 200 requests per day"}}
    assert kind(answer(429, body)) == "quota"
    assert kind(answer(429, body, {"Retry-After": "60"})) == "rate_limit"
    both = {"error": {"message": "10 requests per minute, 200 requests per day"}}
    assert kind(answer(429, both)) == "rate_limit"


def test_a_quota_carries_no_wait():
    body = {"error": {"code": "insufficient_quota"}}
    assert wait(answer(429, body, {"Retry-After": "34"})) is None


def test_forbidden():
    assert kind(answer(403, headers={"Retry-After": "9"})) == "rate_limit"
    assert kind(answer(403, headers={"x-ratelimit-remaining": "0"})) == "rate_limit"
    assert kind(answer(403, headers={"x-ratelimit-remaining": "7"})) is None


def test_banned_until():
    banned = error("DDoSProtection", f"x 418 I'm a Teapot banned until {NOW + 300:.0f}000.")
    assert (kind(banned), wait(banned)) == ("rate_limit", 300)
    assert kind(answer(418, {"code": -1003, "msg": "Way too many requests"})) == "rate_limit"


def test_a_code_is_no_status_without_http():
    assert kind(error("OrderRejected", code=429)) is None
    assert kind(error("OrderRejected", code=429, headers={"a": "b"})) == "rate_limit"


def test_only_public_attributes_of_a_response_are_a_status():
    gitlab = error("GitlabHttpError", "429: Retry later", response_code=429)
    assert kind(gitlab) == "rate_limit"


# -- chains


def test_the_outermost_status_decides():
    outer = error("BadRequestError", status_code=400)
    outer.__cause__ = error("RateLimitError", status_code=429)
    assert rate_limit(outer) is None


def test_a_builtin_error_raised_from_a_429():
    outer = TimeoutError("Timed out after 0:05:00")
    outer.__cause__ = error("TooManyRequests", retry_after_secs=4)
    assert wait(outer) == 4


def test_a_context_is_not_followed():
    outer = KeyError("a bug")
    outer.__context__ = error("RateLimitError", status_code=429)
    assert rate_limit(outer) is None


def test_a_chain_without_end():
    first, second = RuntimeError("a"), RuntimeError("b")
    first.__cause__, second.__cause__ = second, first
    assert rate_limit(first) is None
    chain = RuntimeError("0")
    for number in range(5_000):
        above = RuntimeError(str(number))
        above.__cause__ = chain
        chain = above
    assert rate_limit(chain) is None


def test_a_group_has_its_gravest_kind_and_its_longest_wait():
    short = error("RateLimitError", status_code=429, retry_after=3)
    long = error("RateLimitError", status_code=429, retry_after=30)
    busy = error("ServerError", status_code=503, retry_after=90)
    group = BaseExceptionGroup(
        "", [KeyboardInterrupt(), short, ExceptionGroup("", [long, busy])]
    )
    found = rate_limit(group)
    assert (found.kind, found.retry_after) == ("rate_limit", 30)


# -- text alone


@pytest.mark.parametrize(
    "text",
    [
        *("Error code: 429", "status_code=429 body=", "Request failed with status code 429"),
        *("HTTP 429", "HTTP/1.1 429", "HTTP Error 429: x", "429 Client Error: x", "429, x"),
        *("(429) x", "too many 429 error responses", "Rate limit exceeded", "ratelimited"),
        *("you are being rate limited", "Status: 429. Message: x", "TOO_MANY_REQUESTS"),
        "(SlowDown) Please reduce your request rate",
        "An error occurred (ThrottlingException) when calling the Converse operation: no",
        *("openai.RateLimitError: x", "raised RateLimitError>", "Client error '429 x' for url"),
        *("429 status code (no body)", "RateLimitError: 429 status code (no body)"),
    ],
)
def test_a_text_that_says_so(text):
    assert kind(RuntimeError(text)) == "rate_limit"


@pytest.mark.parametrize(
    "text",
    [
        *(
            "job 4290 failed",
            "row 429 is invalid",
            "429",
            "GET /items/429",
            "line 429",
            "x:4291",
        ),
        *("invalid rate limit configuration", "req_429_a", "214290 tokens", "the rate limit"),
        *("Error code: 404 - too many requests", "Client error '404 x' for url 'http://x/429'"),
        *("Could not parse LLM output: `429 Too Many Requests`", "too many open files"),
        *("module 'openai' has no attribute 'RateLimitError'", "Disk quota exceeded"),
        *("RESOURCE_EXHAUSTED: Out of memory allocating 4294967296 bytes", "HTTP 4290"),
    ],
)
def test_a_text_that_does_not(text):
    assert kind(RuntimeError(text)) is None


def test_a_text_of_an_overload_or_a_quota():
    assert kind(RuntimeError("Error code: 529 - {'type': 'overloaded_error'}")) == "overload"
    assert kind(RuntimeError("Error code: 429 - {'code': 'insufficient_quota'}")) == "quota"
    assert kind(RuntimeError("litellm: insufficient_quota")) == "quota"
    assert kind(RuntimeError("503 status code (no body)")) == "overload"


def test_a_builtin_error_needs_an_explicit_429():
    assert kind(ValueError("rate limit exceeded")) is None
    assert kind(KeyError("RateLimitError")) is None
    assert kind(ValueError("Error code: 429 - no")) == "rate_limit"


# -- waits


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *(
            ("Please try again in 20s", 20),
            ("try again in 120ms", 0.12),
            ("retry in 6m0s", 360),
        ),
        *(("Try again in 10h17m5.7s", 37_025.7), ("retry after 37 seconds", 37)),
        *(("Expected available in 3 seconds.", 3), ("retry_after: 12", 12)),
        *(("wait at least 9.0 seconds", 9), ("A wait of 98 seconds is required", 98)),
        *(("Retry in 0:01:30", 90), ("please wait 2 minutes and 5 seconds", 125)),
        *(("try again later", None), ("retry after the meeting", None)),
        *(("retryDelay': '34s'", 34), ("Take a break for 8 minutes", 480)),
    ],
)
def test_a_wait_in_a_text(text, expected):
    assert wait(error("RateLimitError", text)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"retry-after-ms": "4200", "retry-after": "5"}, 4.2),
        ({"x-amz-retry-after": "1500"}, 1.5),
        ({"retry-after-ms": "200000000"}, 86_400),
        ({"retry-after": "soon", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "17"}, 17),
        ({"x-ratelimit-remaining": "3", "x-ratelimit-reset": "17"}, None),
        ({"x-ratelimit-reset": "17"}, 17),
        ({"x-tokenlimit-remaining": "0", "x-ratelimit-reset": "2"}, 2),
        ({"ratelimit": '"a";r=0;t=30, "b";r=0;t=50, "c";r=9;t=90'}, 50),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset-after": "1.5"}, 1.5),
        ([(b"Retry-After", b"8")], 8),
        ({"Retry-After": ["30"]}, 30),
    ],
)
def test_a_wait_in_headers(headers, expected):
    assert wait(answer(429, headers=headers)) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        *(({"retry_after": 1.25}, 1.25), ({"retryAfterSeconds": "5"}, 5)),
        *(
            ({"retry_after_ms": 250}, 0.25),
            ({"retry_delay": {"seconds": 3, "nanos": 5e8}}, 3.5),
        ),
        ({"details": [{"retryDelay": "34s"}]}, 34),
        ({"error": {"raw": '{"retry_after": 7}'}}, 7),
        ({"metadata": {"headers": {"X-RateLimit-Reset": "9", "X-RateLimit-Remaining": 0}}}, 9),
        (
            {
                "cost": {
                    "requestedQueryCost": 100,
                    "throttleStatus": {"currentlyAvailable": 20, "restoreRate": 50},
                }
            },
            1.6,
        ),
    ],
)
def test_a_wait_in_a_body(body, expected):
    assert wait(answer(429, body)) == expected


def test_a_wait_in_an_attribute():
    assert wait(error("RateLimitError", backoff=12)) == 12
    assert wait(error("RetryAfter", retry_after=timedelta(seconds=90))) == 90
    assert wait(error("FloodWaitError", seconds=98)) == 98
    assert wait(error("RateLimitError", retry_after=lambda: 3)) is None


def test_the_upstreams_clock_counts():
    headers = {"Date": "Thu, 15 Jan 2026 12:10:00 GMT", "Retry-After": str(NOW + 640)}
    assert wait(answer(429, headers=headers)) == 40


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        *(("30", 30), ("2.0", 2), (timedelta(seconds=30), 30), (2.5, 2.5), (10**6, 86_400)),
        *(
            ("", None),
            (-1, None),
            (-37.5, None),
            (float("nan"), None),
            (None, None),
            ("x", None),
        ),
        *((object(), None), (10**400, None), ("Wed, 21 Oct 2099 07:28:00 GMT", 86_400)),
    ],
)
def test_a_callers_hint(hint, expected):
    assert wait_of(hint) == expected


# -- robustness


def test_a_body_like_an_attack():
    deep = "[" * 50_000
    assert kind(answer(429, deep)) == "rate_limit"
    nested: dict[str, object] = {}
    for _ in range(2_000):
        nested = {"a": nested}
    assert kind(error("ApiError", status_code=429, body=nested)) == "rate_limit"
    circle: dict[str, object] = {}
    circle["a"] = circle
    assert kind(error("ApiError", status_code=429, body=circle)) == "rate_limit"


def test_a_mock_for_a_client():
    from unittest.mock import MagicMock

    assert rate_limit(MagicMock()) is None
    response = httpx.Response(404, request=httpx.Request("GET", "http://localhost"))
    assert rate_limit(response) is None


def test_it_says_why():
    assert explain(answer(429)).why == "status 429"
    assert explain(KeyError("x")).why == "nothing in it speaks of a rate limit"
