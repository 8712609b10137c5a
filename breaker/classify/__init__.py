"""What an answer means: is it a rate limit, how long to wait, and what is still allowed."""

from breaker.classify.headers import Allowance, allowance
from breaker.classify.http import RateLimit, rate_limit

__all__ = ["Allowance", "RateLimit", "allowance", "rate_limit"]
