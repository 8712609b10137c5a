"""What the classifier answers."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["rate_limit", "overload", "quota"]


@dataclass(frozen=True, slots=True)
class RateLimit:
    """The upstream said "slow down".

    Attributes:
        kind: "rate_limit" clears by waiting. "overload": the upstream has no capacity for
            any caller. "quota": credits, a spend limit or the allowance of a day are used up, and a
            minute will not help.
        retry_after: seconds it asked for, above 0 and at most a day; None if it did not say.
        scope: what is limited, where the upstream says so: requests, tokens, concurrency, day
            or secondary.
    """

    kind: Kind
    retry_after: float | None = None
    scope: str | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """An open breaker refused a call: nothing reached the upstream, and nothing counts.

    Attributes:
        retry_after: seconds until it is worth asking again; None while only an operator can tell.
    """

    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """An answer and the rule that gave it.

    Attributes:
        limit: None for what is not a rate limit.
        why: the rule, in words.
        refusal: for what a breaker answered itself.
    """

    limit: RateLimit | None
    why: str
    refusal: Refusal | None = None
