"""The classifier: one call from any exception or response to a rate limit, or to none."""

import logging

from breaker.classify.answer import RateLimit, Refusal, Verdict
from breaker.classify.decide import decide
from breaker.classify.unwrap import judge_all

_LOGGER = logging.getLogger("breaker")


def rate_limit(exc_or_response: object, now: float | None = None) -> RateLimit | None:
    """Tell a rate limit, an overload or an exhausted quota from everything else. Never raises.

    Args:
        exc_or_response: an exception of any client, or a response.
        now: epoch seconds by which dates are turned into waits, if the response has no Date; the
            local clock's if left out.

    Returns:
        None if it is not a rate limit.
    """
    return explain(exc_or_response, now).limit


def explain(exc_or_response: object, now: float | None = None) -> Verdict:
    """Return what `rate_limit` returns, and the rule that decided. Never raises."""
    try:
        verdict = judge_all(exc_or_response, lambda each: decide(each, now))
    except Exception:
        _LOGGER.exception("the classifier failed; the error counts as no rate limit")
        return Verdict(None, "the classifier failed")
    return verdict or Verdict(None, "nothing in it speaks of a rate limit")


def refusal(exc_or_response: object) -> Refusal | None:
    """Tell what an open breaker refused: BreakerOpen, or the 429 of an HTTP hook. Never raises.

    A job that fails by it has met a paused queue, and belongs back into it.
    """
    return explain(exc_or_response).refusal
