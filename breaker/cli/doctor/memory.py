"""Whether the store drops keys, and how much room there is."""

from collections.abc import Iterator

from breaker.cli.doctor.case import Case
from breaker.cli.doctor.finding import Check, Level

# Share of maxmemory from which on the store is nearly full.
FULL = 0.9


def memory(case: Case) -> Iterator[Check]:
    """Check the policy of eviction, and the memory that is left."""
    info = case.info
    if info is None:
        return
    policy = info.get("maxmemory_policy", "unknown")
    if policy == "noeviction":
        yield Check("eviction", Level.OK, policy)
    else:
        shown = f"maxmemory-policy is {policy}: a full store drops pauses and counts"
        advice = "set it to noeviction, or give the breakers a store of their own"
        yield Check("eviction", Level.WARN, shown, advice)
    used, limit = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    shown = f"{_megabytes(used)} used of {_megabytes(limit)}" if limit else "no limit"
    if limit and used > FULL * limit:
        advice = "a full store cannot record a trip: free memory or raise maxmemory"
        yield Check("memory", Level.WARN, shown, advice)
    else:
        yield Check("memory", Level.OK, shown)


def _megabytes(size: int) -> str:
    return f"{size / 1_048_576:.1f} MB"
