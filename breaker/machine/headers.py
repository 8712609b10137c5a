"""What headers that say how much is left do to the pace (`headers.lua`)."""

from breaker.machine.commit import clear_count
from breaker.machine.row import Row
from breaker.machine.trip import go_paced
from breaker.machine.view import held_to

# Factor: a pace this little above what is allowed is not slowed down.
NEARLY = 1.1


def allowed_rates(
    left: float, limit: float, resets_in_ms: int, refill: float
) -> tuple[float, float]:
    """Calls per second until the reset, and those to rise to after it."""
    if refill > 0:
        return refill, refill
    low = max(left, 1.0) * 1000.0 / resets_in_ms
    return low, max(low, (limit - left) * 1000.0 / resets_in_ms)


def adjust_pace(b: Row, low: float, top: float, ms: int) -> bool:
    """Change the pace of a recovery under way. Headers that stay scarce write no events."""
    rate = b.pace.rate(b.now)
    if rate <= NEARLY * low and low <= (held_to(b) or low):
        return False
    b.pace.hold_on(b.now, low, top, ms)
    b.is_dirty = True
    return True


def begin_pace(b: Row, low: float, top: float, ms: int, reason: str) -> bool:
    """Begin a pace from closed. The epoch stays, so jobs that are under way count."""
    b.pace.hold(b.now, low, top, ms)
    b.put(opened_at=b.now, trip_id="")
    clear_count(b)
    go_paced(b, "paced", reason)
    return True
