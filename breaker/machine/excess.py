"""A mild excess: too many results are rate limit errors (`excess.lua`)."""

from breaker.machine.commit import clear_count
from breaker.machine.row import Result, Row
from breaker.machine.trip import hold_back

# Seconds: older results do not count.
RESULTS_FOR = 10
# Results: fewer show nothing.
FEWEST_RESULTS = 20
# Results: this many show enough, also if they came in less time.
ENOUGH_RESULTS = 60


def watches_share(b: Row) -> bool:
    """Whether a share of errors begins a pace."""
    may_pace = b.settings["recovery"] == "pace" and b.settings["mode"] != "shadow"
    return may_pace and not b.disabled and b.settings.get("pace_from", 0) > 0


def note_results(b: Row, errors: int, successes: int) -> None:
    """Add results to those of the last seconds."""
    second = b.now // 1000
    kept = [one for one in b.results if second - RESULTS_FOR < one.second <= second]
    last = kept.pop() if kept and kept[-1].second == second else Result(second, 0, 0)
    added = Result(second, last.errors + errors, last.successes + successes)
    b.put(results=[*kept, added])


def excess(b: Row) -> tuple[int, int] | None:
    """How many of how many results were errors, if these are too many, and not below threshold."""
    errors = every = 0
    for number, one in enumerate(reversed(b.results), 1):
        errors, every = errors + one.errors, every + one.errors + one.successes
        is_whole = number == len(b.results) and every >= FEWEST_RESULTS
        is_enough = every >= ENOUGH_RESULTS or is_whole
        are_many = errors >= max(b.settings["threshold"], b.settings["pace_from"] * every)
        if is_enough and are_many:
            return errors, every
    return None


def weigh_share(b: Row, successes: int) -> None:
    """Take in an error in closed that does not trip: too many of them begin a pace.

    Errors in a row are counted towards a trip instead.
    """
    if not watches_share(b):
        return
    note_results(b, 1, successes)
    found = excess(b)
    if found is None or b.count > 1:
        return
    errors, every = found
    reason = f"{errors} of the last {every} results were rate limit errors"
    more = {"errors": errors, "evidence": list(b.run_errors)}
    b.pace.start(b.now, sum(one.successes for one in b.results) / RESULTS_FOR)
    b.put(results=[], trip_id="", opened_at=b.now, run_errors=[], old_successes=0)
    clear_count(b)
    hold_back(b, "paced", reason, more)


def note_successes(b: Row, successes: int) -> None:
    """Count successes while there are errors to hold them against."""
    if not watches_share(b) or not b.results:
        return
    second = b.now // 1000
    if any(one.errors for one in b.results if second - RESULTS_FOR < one.second <= second):
        note_results(b, 0, successes)
    else:
        b.put(results=[])
