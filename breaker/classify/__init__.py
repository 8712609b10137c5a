"""What an error means: is it a rate limit, and how long does the upstream ask to wait."""

from breaker.classify.http import RateLimit, rate_limit

__all__ = ["RateLimit", "rate_limit"]
