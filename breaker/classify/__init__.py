"""Tells from an answer whether it is a rate limit, how long to wait, and what is still allowed."""

from breaker.classify.answer import Kind, RateLimit, Verdict
from breaker.classify.classifier import explain, rate_limit
from breaker.classify.headers import Allowance, allowance
from breaker.classify.reading import wait_of

__all__ = [
    "Allowance",
    "Kind",
    "RateLimit",
    "Verdict",
    "allowance",
    "explain",
    "rate_limit",
    "wait_of",
]
