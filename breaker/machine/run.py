"""A run: the rate limit errors since the last success that counted (`run.lua`)."""

from breaker.machine.commit import clear_count
from breaker.machine.row import Row

# Errors that a trip shows as its evidence.
EVIDENCE_KEPT = 10


def add_to_run(b: Row, error_id: str, retry_after_ms: int) -> int:
    """Add one error to the run. Returns from how many workers it came, up to min_workers."""
    b.count += 1
    b.count_until = b.now + b.settings["forget_after_ms"]
    b.is_counted = True
    if b.count == 1:
        b.put(run=b.run + 1, run_until=0, run_workers=[], run_errors=[])
    b.put(old_successes=0)
    if retry_after_ms > 0:
        ms = min(retry_after_ms, b.settings["max_cooldown_ms"])
        b.put(run_until=max(b.run_until, b.now + ms))
    error = {
        "id": error_id,
        "worker": b.call.who,
        "at": b.now,
        "retry_after_ms": retry_after_ms,
    }
    b.put(run_errors=[*b.run_errors, error][-EVIDENCE_KEPT:])
    is_room = len(b.run_workers) < b.settings["min_workers"]
    if is_room and b.call.who not in b.run_workers:
        b.put(run_workers=[*b.run_workers, b.call.who])
    return len(b.run_workers)


def is_after_trip(b: Row) -> bool:
    """Whether a trip began the recovery; if not, callers without permits count as in closed."""
    return b.trip_id != ""


def weigh_success(b: Row, permit_run: int | str) -> bool:
    """Whether a success ends the run: one that started before it is weak evidence."""
    is_of_run = permit_run == "" or int(permit_run) >= b.run
    if not is_of_run:
        b.put(old_successes=b.old_successes + 1)
    if is_of_run or b.old_successes >= b.settings["threshold"]:
        clear_count(b)
        b.put(run_errors=[], old_successes=0)
        return True
    return False


def is_current(b: Row, permit_incarnation: str, permit_epoch: int | str) -> bool:
    """Whether a result is of the present epoch."""
    if permit_epoch == "":
        return True
    return permit_incarnation in ("", b.incarnation) and int(permit_epoch) == b.epoch
