"""Rate limit errors that could not be reported in an outage, until the store is back.

A report is idempotent by its error id, so it may be handed in although the first attempt, whose
reply was lost, was carried out.
"""

from dataclasses import dataclass

from breaker.model import Grant

# Seconds for which a report is worth handing in. One with a longer Retry-After is kept for that.
WORTH = 60.0
# Seconds within which a report is sent at once: it says what the upstream said.
AT_ONCE = 0.25
# How many are kept. A run that is longer pauses the queue by itself.
MOST = 100


# A state's incarnation and its epoch, which a result carries; empty if it carries none.
Fence = tuple[str, int | str]
NO_FENCE: Fence = ("", "")


@dataclass(frozen=True, slots=True)
class Unsent:
    """One report.

    Attributes:
        at: when it was made, in monotonic seconds.
        retry_after: the upstream's hint at that time, in seconds.
        error_id: what it counts as.
        kind: "rate_limit", "overload" or "quota".
        grant: the permit of the job; None if it had none.
        known: the last state of the store that this worker knew.
    """

    at: float
    retry_after: float | None
    error_id: str
    kind: str
    grant: Grant | None
    known: Fence

    def is_worth_it(self, now: float) -> bool:
        """Whether it still says something about the upstream."""
        return now - self.at < max(WORTH, self.retry_after or 0.0)

    def hint(self, now: float) -> float:
        """What is left of the hint, in seconds; 0 if there was none."""
        if not self.retry_after:
            return 0.0
        age = now - self.at
        return max(0.001, self.retry_after - (age if age > AT_ONCE else 0.0))

    @property
    def fence(self) -> Fence:
        """What the result carries at once; the local breaker's permits have no fence of the store."""
        if self.grant is None or self.grant.is_local:
            return NO_FENCE
        return self.grant.incarnation, self.grant.epoch

    @property
    def late_fence(self) -> Fence:
        """What it carries when it is handed in: with a local permit, what was known then."""
        return self.known if self.grant and self.grant.is_local else self.fence
