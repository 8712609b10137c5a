"""The user's own rules, and what is made of overloads and quotas."""

import logging
from types import SimpleNamespace

import pytest

from breaker import BreakerOpen, RateLimit
from breaker.classify import Rules, refusal
from breaker.errors import ConfigurationError


class Limited(Exception):
    status_code = 429
    retry_after = 7


class Busy(Exception):
    status_code = 503


class Broke(Exception):
    status_code = 402


class Odd(Exception):
    retry_after = 3


def test_by_default_all_three_kinds_count():
    rules = Rules()
    assert rules(Limited()) == RateLimit("rate_limit", 7)
    assert rules(Busy()) == RateLimit("overload")
    assert rules(Broke()) == RateLimit("quota")
    assert rules(Odd()) is None


def test_the_policies():
    rules = Rules(on_overload="ignore")
    assert rules(Busy()) is None
    assert rules(Broke()) == RateLimit("quota")


def test_classes_that_count_or_do_not():
    rules = Rules(count=(Odd,), ignore=(Limited,))
    assert rules(Odd()) == RateLimit("rate_limit", 3)
    assert rules(Limited()) is None
    assert Rules(count=Odd)(Odd()) == RateLimit("rate_limit", 3)
    assert Rules(count=[Broke])(Broke()).kind == "quota"


def test_the_users_own_rule_is_asked_first():
    answers = {Limited: None, Odd: RateLimit("rate_limit", 5), Busy: NotImplemented}
    rules = Rules(classify=lambda error: answers[type(error)], ignore=(Odd,))
    assert rules(Limited()) is None
    assert rules(Odd()) == RateLimit("rate_limit", 5)
    assert rules(Busy()) == RateLimit("overload")


def test_what_a_breaker_refused_never_counts():
    refused = BreakerOpen("content", retry_after=3.0, epoch=1, state="open")
    rules = Rules(count=(Exception,), classify=lambda _error: RateLimit("rate_limit"))
    assert rules(refused) is None
    outer = RuntimeError("job failed")
    outer.__cause__ = refused
    assert rules(outer) is None
    assert refusal(outer).retry_after == 3
    answered = SimpleNamespace(status=429, headers={"x-breaker": "open", "retry-after": "5"})
    assert refusal(answered).retry_after == 5
    assert refusal(Limited()) is None


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (lambda _error: RateLimit("odd"), "answered RateLimit"),
        (lambda _error: 1 / 0, "raised an exception"),
        (lambda _error: True, "answered True"),
    ],
)
def test_a_rule_that_fails_is_logged_once_and_passed_over(rule, said, caplog):
    rules = Rules(classify=rule)
    with caplog.at_level(logging.WARNING, "breaker"):
        assert [rules(Limited()) for _ in range(3)] == [RateLimit("rate_limit", 7)] * 3
    (record,) = caplog.records
    assert said in record.getMessage()


def test_bad_options_are_one_error_at_the_door():
    async def asynchronous(_error):
        return None

    with pytest.raises(ConfigurationError) as caught:
        Rules(
            classify=asynchronous,
            count=("TimeoutError",),
            ignore=5,
            on_overload="sometimes",
        )
    said = caught.value.problems
    assert [line.split()[0] for line in said] == [
        *("classify", "count", "ignore", "on_overload")
    ]
    with pytest.raises(ConfigurationError, match="classify must be a function"):
        Rules(classify="429")
