"""Tells from an answer whether it is a rate limit, how long to wait, and what is still allowed."""

from breaker.classify.answer import Kind, RateLimit, Refusal, Verdict
from breaker.classify.classifier import explain, rate_limit, refusal
from breaker.classify.headers import Allowance, allowance
from breaker.classify.reading import wait_of
from breaker.classify.rules import RuleOptions, Rules

__all__ = [
    "Allowance",
    "Kind",
    "RateLimit",
    "Refusal",
    "RuleOptions",
    "Rules",
    "Verdict",
    "allowance",
    "explain",
    "rate_limit",
    "refusal",
    "wait_of",
]
