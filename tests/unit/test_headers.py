"""What an upstream still allows, by the headers that providers and the IETF's drafts define."""

import io
import math
import urllib.error
from email.message import Message
from time import monotonic
from types import SimpleNamespace

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from breaker import rate_limit
from breaker.classify import Allowance, allowance

NOW = 1_768_478_400.0  # 2026-01-15T12:00:00Z
DATE = "Thu, 15 Jan 2026 12:00:00 GMT"
PLAIN = {"x-ratelimit-remaining": "7", "x-ratelimit-reset": "30"}


def openai(**others):
    return {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "1s",
        "x-ratelimit-limit-tokens": "150000",
        "x-ratelimit-remaining-tokens": "149984",
        "x-ratelimit-reset-tokens": "6m0s",
    } | {f"x-ratelimit-{name.replace('_', '-')}": value for name, value in others.items()}


def anthropic(what, limit, remaining, reset):
    head = f"anthropic-ratelimit-{what}"
    return {f"{head}-limit": limit, f"{head}-remaining": remaining, f"{head}-reset": reset}


def drafts(limit, remaining, reset, **others):
    values = {"Limit": limit, "Remaining": remaining, "Reset": reset} | others
    return {f"RateLimit-{name}": value for name, value in values.items()}


def legacy(limit, remaining, reset, head="X-RateLimit"):
    return {f"{head}-Limit": limit, f"{head}-Remaining": remaining, f"{head}-Reset": reset}


def ietf(limits, policy=None):
    return {"RateLimit": limits} | ({"RateLimit-Policy": policy} if policy else {})


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        pytest.param(openai(), (59, 1, 60, None), id="openai"),
        pytest.param(
            openai(reset_requests="12ms"), (59, 0.012, 60, None), id="openai-milliseconds"
        ),
        pytest.param(
            openai(remaining_requests="0", reset_requests="6m0s"),
            (0, 360, 60, None),
            id="openai-minutes",
        ),
        pytest.param(
            openai(remaining_tokens="0"), (59, 1, 60, None), id="openai-out-of-tokens"
        ),
        pytest.param(
            openai(remaining_requests="0", remaining_tokens="0"),
            (0, 1, 60, None),
            id="openai-out-of-both",
        ),
        pytest.param(
            openai(remaining_tokens="0", reset_tokens="-1"),
            (59, 1, 60, None),
            id="azure-reset-unknown",
        ),
        pytest.param(
            openai(remaining_requests="0", reset_requests="26"),
            (0, 26, 60, None),
            id="azure-without-unit",
        ),
        pytest.param(
            {
                "x-ratelimit-limit-project-requests": "100",
                "x-ratelimit-remaining-project-requests": "40",
                "x-ratelimit-reset-project-requests": "20s",
            },
            (40, 20, 100, None),
            id="openai-project",
        ),
        pytest.param(
            anthropic("requests", "50", "20", "2026-01-15T12:00:40Z")
            | anthropic("tokens", "40000", "30000", "2026-01-15T12:00:10Z"),
            (20, 40, 50, None),
            id="anthropic",
        ),
        *(
            pytest.param(
                anthropic("requests", "50", "20", "2026-01-15T12:00:40Z")
                | anthropic(what, "40000", "0", "2026-01-15T12:00:10.5+00:00"),
                (20, 40, 50, None),
                id=f"anthropic-out-of-{what}",
            )
            for what in ("tokens", "input-tokens", "output-tokens")
        ),
        pytest.param(
            openai(
                limit_requests="14400", remaining_requests="14370", reset_requests="2m59.56s"
            ),
            (14_370, 179.56, 14_400, None),
            id="groq",
        ),
        pytest.param(
            openai(limit_requests="14400", remaining_requests="9", reset_requests="23h59m6s"),
            None,
            id="groq-day",
        ),
        pytest.param(
            {
                "x-ratelimit-limit-requests-day": "1000",
                "x-ratelimit-remaining-requests-day": "0",
                "x-ratelimit-reset-requests-day": "33011.382867",
            },
            (0, 33_011.382867, 1_000, 86_400),
            id="cerebras-day-used-up",
        ),
        pytest.param(
            {
                "x-ratelimit-remaining-requests-day": "3",
                "x-ratelimit-reset-requests-day": "60",
            },
            None,
            id="cerebras-end-of-a-day",
        ),
        pytest.param(legacy("60", "5", "10"), (5, 10, 60, None), id="together"),
        pytest.param(
            legacy("60", "5", "10")
            | {"x-tokenlimit-limit": "9000", "x-tokenlimit-remaining": "0"},
            (0, 10, None, None),
            id="together-out-of-tokens",
        ),
        pytest.param(
            legacy("5000", "4987", str(NOW + 1800)), (4_987, 1_800, 5_000, None), id="github"
        ),
        pytest.param(
            legacy("5000", "10", str(NOW + 3601)), None, id="more-than-an-hour-is-ignored"
        ),
        pytest.param(
            legacy("5000", "0", str(NOW + 7200)),
            (0, 7_200, 5_000, None),
            id="unless-nothing-is-left",
        ),
        pytest.param(
            legacy("900", "899", str(int(NOW) + 900), head="x-rate-limit"),
            (899, 900, 900, None),
            id="x",
        ),
        pytest.param(
            {
                "x-ratelimit-used": "2",
                "x-ratelimit-remaining": "598.0",
                "x-ratelimit-reset": 123,
            },
            (598, 123, None, None),
            id="reddit",
        ),
        pytest.param(
            legacy("5", "4", "1768478470.5") | {"X-RateLimit-Reset-After": "70.2"},
            (4, 70.2, 5, None),
            id="discord",
        ),
        pytest.param(
            {
                "X-RateLimit-Requests-Limit": "1500",
                "X-RateLimit-Requests-Remaining": "1499",
                "X-RateLimit-Requests-Reset": str(int(NOW * 1000) + 90_000),
                "X-RateLimit-Complexity-Limit": "250000",
                "X-RateLimit-Complexity-Remaining": "0",
                "X-RateLimit-Complexity-Reset": str(int(NOW * 1000) + 90_000),
            },
            (1_499, 90, 1_500, None),
            id="linear",
        ),
        pytest.param(
            legacy("20", "3", str(int(NOW * 1000) + 1_500)), (3, 1.5, 20, None), id="openrouter"
        ),
        pytest.param(
            legacy("40", "39", "5", head="X-Sentry-Rate-Limit"), (39, 5, 40, None), id="sentry"
        ),
        pytest.param(legacy("9", "8", "2026-01-15T12:01Z"), (8, 60, 9, None), id="jira"),
        pytest.param(
            legacy("9", "8", "Thu, 15 Jan 2026 12:02:00 GMT"), (8, 120, 9, None), id="http-date"
        ),
        pytest.param(
            legacy("10, 10;w=1, 50;w=60", "9", "1"), (9, 1, 10, 1), id="envoy-with-windows"
        ),
        pytest.param({"X-Shopify-Shop-Api-Call-Limit": "32/40"}, None, id="shopify"),
        pytest.param({"x-ratelimit-reset": str(NOW + 9)}, None, id="cohere-lone-reset"),
        pytest.param(drafts("100", "12", "50"), (12, 50, 100, None), id="draft-06"),
        pytest.param(
            drafts("10, 10;w=1, 50;w=60", "9", "1"), (9, 1, 10, 1), id="draft-02-windows"
        ),
        pytest.param(
            drafts("50", "9", "30", Policy="10;w=1, 50;w=60"), (9, 30, 50, 60), id="draft-06-w"
        ),
        pytest.param(
            drafts("50", "9", str(NOW + 30)), (9, 30, 50, None), id="draft-06-with-epoch"
        ),
        pytest.param(
            ietf("limit=100, remaining=0, reset=50"), (0, 50, 100, None), id="draft-07"
        ),
        pytest.param(
            ietf("limit=100, remaining=9, reset=50", "10;w=1, 100;w=60"),
            (9, 50, 100, 60),
            id="draft-07-policy",
        ),
        pytest.param(
            ietf('"default";r=50;t=30', '"default";q=100;w=60'), (50, 30, 100, 60), id="ietf"
        ),
        pytest.param(ietf('"default";r=50;t=30'), (50, 30, None, None), id="ietf-no-policy"),
        pytest.param(ietf("default;r=50;t=30"), (50, 30, None, None), id="ietf-token"),
        pytest.param(
            ietf(
                '"a, \\"b;r=0"; r=99; t=59; pk=:ab/c+d==:',
                '"a, \\"b;r=0"; q=100; w=60; qu="requests"',
            ),
            (99, 59, 100, 60),
            id="ietf-quoting",
        ),
        pytest.param(
            ietf('"burst";r=8;t=2, "minute";r=30;t=50', '"burst";q=10;w=2,"minute";q=60;w=60'),
            (30, 50, 60, 60),
            id="ietf-the-tighter-of-two",
        ),
        pytest.param(
            ietf(
                '"burst";r=90;t=50,"daily";r=5;t=60', '"burst";q=100;w=60,"daily";q=9;w=86400'
            ),
            (90, 50, 100, 60),
            id="ietf-a-day-is-ignored",
        ),
        pytest.param(
            ietf(
                '"burst";r=90;t=50,"daily";r=0;t=60', '"burst";q=100;w=60,"daily";q=9;w=86400'
            ),
            (0, 60, 9, 86_400),
            id="ietf-a-used-up-day-is-not",
        ),
        pytest.param(
            ietf('"b";r=100;t=30', '"b";q=9000;w=60;qu="content-bytes"'), None, id="ietf-bytes"
        ),
        pytest.param(
            ietf('"b";r=0;t=30', '"b";q=9000;w=60;qu="content-bytes"'),
            (0, 30, None, 60),
            id="ietf-out-of-bytes",
        ),
        pytest.param(
            ietf('"c";r=0;t=30', '"c";q=5;w=60;qu="concurrent-requests"'),
            None,
            id="ietf-concurrency",
        ),
        pytest.param(ietf('"default";r=50'), None, id="ietf-without-reset"),
        pytest.param(
            ietf('"api";r=489;t=189', '"fixed window";"api";q=500;w=300'),
            (489, 189, 500, 300),
            id="hugging-face",
        ),
        pytest.param(
            drafts("100", "60", "50") | legacy("9000", "8", "600"),
            (8, 600, 9_000, None),
            id="two-families",
        ),
        pytest.param(
            legacy("9", "0", "5") | drafts("100", "0", "50"),
            (0, 50, 100, None),
            id="used-up-for-longer",
        ),
        pytest.param({"x-ratelimit-remaining": "9"}, None, id="no-reset"),
        pytest.param(
            {"x-ratelimit-remaining-images": "0", "x-ratelimit-reset-images": "9"},
            None,
            id="neither-calls-nor-tokens",
        ),
    ],
)
def test_what_is_allowed(headers, expected):
    found = allowance(headers, NOW)
    told = found and (found.remaining, found.resets_in, found.limit, found.window)
    assert told == (expected and pytest.approx(expected))


@pytest.mark.parametrize(
    ("headers", "refill"),
    [
        pytest.param(openai(), 1.0, id="openai"),
        pytest.param(
            openai(remaining_requests="5", reset_requests="55s"), 1.0, id="nearly-empty"
        ),
        pytest.param(openai(remaining_requests="0", reset_requests="60s"), 1.0, id="empty"),
        pytest.param(openai(remaining_requests="60", reset_requests="1s"), None, id="full"),
        pytest.param(
            openai(limit_requests="14400", remaining_requests="14370", reset_requests="3m"),
            1 / 6,
            id="groq",
        ),
        pytest.param(
            anthropic("requests", "50", "20", "2026-01-15T12:00:36Z"), 30 / 36, id="anthropic"
        ),
        pytest.param(PLAIN, None, id="a-window"),
        pytest.param(legacy("5000", "4987", str(NOW + 1800)), None, id="github"),
        pytest.param(ietf('"default";r=5;t=30', '"default";q=100;w=60'), None, id="ietf"),
        pytest.param(
            {
                "x-ratelimit-limit-requests-minute": "100",
                "x-ratelimit-remaining-requests-minute": "3",
                "x-ratelimit-reset-requests-minute": "33",
            },
            None,
            id="a-named-window",
        ),
    ],
)
def test_what_goes_on_being_allowed_of_a_bucket(headers, refill):
    """Its reset says when it is full again: until then it fills at a steady rate."""
    found = allowance(headers, NOW)
    assert found.refill == (refill and pytest.approx(refill))
    assert found.rate == pytest.approx(refill or max(found.remaining, 1) / found.resets_in)


@pytest.mark.parametrize(
    "text",
    [
        *("", "soon", "nan", "inf", "-inf", "-1", "0", "0s", "1e400", "1h2", "s"),
        *("9" * 5_000, "9" * 400 + "h", str(NOW), str(NOW * 1000), str(NOW - 1)),
        *("2015-10-21T07:28:00Z", "Wed, 21 Oct 2015 07:28:00 GMT"),
        "Thu, 01 Jan 99999999999 00:00:00 GMT",
    ],
)
def test_an_unusable_reset(text):
    assert allowance(PLAIN | {"x-ratelimit-reset": text}, NOW) is None


@pytest.mark.parametrize("text", ["", "many", "nan", "inf", "-1", "True", "1e400", "9" * 5_000])
def test_an_unusable_count(text):
    assert allowance(PLAIN | {"x-ratelimit-remaining": text}, NOW) is None


@pytest.mark.parametrize("text", ["", "none", "0", "-1", "nan", ";w=60"])
def test_an_unusable_limit_is_left_out(text):
    found = allowance(PLAIN | {"x-ratelimit-limit": text}, NOW)
    assert found == Allowance(7, 30, None, None)


@pytest.mark.parametrize(
    "text", ['"', '"default', ";;,,==", "r=1", 'x;r=;t=5, "y";r=nan;t=2', "\\", '"a\\', '"a"b"']
)
def test_a_malformed_list_is_ignored(text):
    assert allowance(ietf(text, text), NOW) is None
    assert allowance(ietf(text, text) | PLAIN, NOW) == Allowance(7, 30, None, None)


def test_a_reset_is_at_most_a_day():
    headers = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1e20"}
    assert allowance(headers, NOW).resets_in == 86_400


def test_of_doubled_fields_the_stricter_counts():
    headers = [*PLAIN.items(), ("x-ratelimit-remaining", "3"), ("x-ratelimit-reset", "40")]
    assert allowance(headers, NOW) == Allowance(3, 40, None, None)


def test_lists_may_come_in_several_fields():
    headers = [("RateLimit", '"a";r=9;t=1'), ("ratelimit", '"b";r=1;t=9')]
    assert allowance(headers, NOW) == Allowance(1, 9, None, None)


def test_instants_count_by_the_responses_own_clock():
    headers = PLAIN | {"x-ratelimit-reset": str(NOW + 20), "Date": DATE}
    assert allowance(headers, NOW - 500).resets_in == 20
    assert allowance(headers | {"Date": "noon"}, NOW + 5).resets_in == 15


def test_without_a_date_by_the_local_clock():
    assert allowance(PLAIN | {"x-ratelimit-reset": str(NOW)}) is None
    assert allowance(PLAIN) == Allowance(7, 30, None, None)


def message(headers):
    found = Message()
    for name, value in headers.items():
        found[name] = value
    return found


RESPONSE = httpx.Response(200, headers=PLAIN, request=httpx.Request("GET", "http://localhost"))


@pytest.mark.parametrize(
    "carrier",
    [
        PLAIN,
        list(PLAIN.items()),
        tuple(PLAIN.items()),
        {name.upper().encode(): value.encode() for name, value in PLAIN.items()},
        {name: int(value) for name, value in PLAIN.items()},
        {name: [value] for name, value in PLAIN.items()},
        httpx.Headers(PLAIN),
        message(PLAIN),
        RESPONSE,
        httpx.HTTPStatusError("no", request=RESPONSE.request, response=RESPONSE),
        SimpleNamespace(headers=PLAIN),
        SimpleNamespace(headers=list(PLAIN.items())),
        SimpleNamespace(headers={}, response=SimpleNamespace(headers=PLAIN)),
        SimpleNamespace(raw_response=SimpleNamespace(headers=PLAIN)),
        SimpleNamespace(response=RuntimeError(), litellm_response_headers=PLAIN),
    ],
    ids=lambda carrier: type(carrier).__name__,
)
def test_where_headers_are_found(carrier):
    assert allowance(carrier, NOW) == Allowance(7, 30, None, None)


def test_urllib():
    error = urllib.error.HTTPError("http://localhost", 429, "", message(PLAIN), io.BytesIO())
    assert allowance(error, NOW) == Allowance(7, 30, None, None)
    error.close()


def test_a_response_is_not_consumed():
    class Response:
        headers = PLAIN

        def __iter__(self):
            raise AssertionError

        def __bool__(self):
            raise AssertionError

    assert allowance(Response(), NOW) == Allowance(7, 30, None, None)


class Refuses:
    """Refuses to show anything of itself."""

    def __getattribute__(self, name):
        raise RuntimeError(name)

    def __str__(self):
        raise RuntimeError

    def __iter__(self):
        raise RuntimeError


class Endless:
    def items(self):
        while True:
            yield "x-ratelimit-remaining", "1"


@pytest.mark.parametrize(
    "thing",
    [None, 0, "x-ratelimit-remaining", b"", object(), dict, [], [None], [1, "ab", ("a",)]],
    ids=lambda thing: type(thing).__name__,
)
def test_what_has_no_headers_is_none(thing):
    assert allowance(thing, NOW) is None


def test_the_hostile_are_none():
    assert allowance(Refuses(), NOW) is None
    assert allowance([Refuses()], NOW) is None
    assert allowance({"RateLimit": Refuses(), Refuses(): "1"}, NOW) is None
    for held in (Refuses(), Endless(), [Refuses()], 3):
        assert allowance(SimpleNamespace(headers=held), NOW) is None
        assert allowance(SimpleNamespace(response=held), NOW) is None


def test_one_bad_field_does_not_hide_the_others():
    headers = [None, ("x-ratelimit-limit", Refuses()), (Refuses(), "1"), *PLAIN.items()]
    assert allowance(headers, NOW) == Allowance(7, 30, None, None)


@pytest.mark.parametrize(
    "text", ['"\\' * 2_000, '"' * 4_000, "1" * 4_000, "a;" * 2_000, "1," * 2_000]
)
def test_long_texts_take_no_long_time(text):
    started = monotonic()
    names = ("ratelimit", "ratelimit-policy", "ratelimit-remaining", "ratelimit-reset", text)
    allowance([(name, text) for name in names] * 100, NOW)
    assert monotonic() - started < 5


NAMES = st.sampled_from(
    [*openai(), *drafts(1, 1, 1, Policy=1), *legacy(1, 1, 1), "RateLimit", "Date"]
)
VALUES = st.one_of(
    st.text(max_size=30),
    st.binary(max_size=30),
    st.integers(),
    st.floats(),
    st.none(),
    st.lists(st.integers(0, 9), max_size=2),
    st.integers(0, 10**15).map(str),
    st.datetimes().map(str),
    st.from_regex(r'\A("?[a-z]?"?(;[rtqw]=-?[0-9.]{0,3}){0,3},?){0,3}\Z'),
    st.from_regex(r"\A([0-9]{1,4}(h|m|s|ms)){1,3}\Z"),
)


@given(st.lists(st.tuples(NAMES | st.text(max_size=9), VALUES)), st.none() | st.floats())
def test_it_never_raises_nor_tells_nonsense(pairs, now):
    found = allowance(pairs, now)
    rate_limit(SimpleNamespace(status=429, headers=pairs))
    if found is not None:
        assert 0 < found.resets_in <= 86_400
        assert 0 <= found.remaining < math.inf
        assert all(each is None or 0 < each < math.inf for each in (found.limit, found.window))


@given(st.recursive(VALUES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_anything_may_be_asked(thing):
    allowance(thing)
    allowance(SimpleNamespace(headers=thing, response=thing))
