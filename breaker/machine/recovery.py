"""Half-open: which job may go, by the recovery that is set (`recovery.lua`)."""

import math

from breaker.machine.commit import clear_count
from breaker.machine.row import Reply, Row
from breaker.machine.transition import close, step
from breaker.pacing import LONGEST_WAIT


def take_probe(b: Row) -> Reply:
    """One job at a time, under a lease that refusals do not touch."""
    if b.lease_id == b.call.token:
        return {"granted": True}
    if b.is_ahead(b.lease_until):
        return {"granted": False, "wait_ms": b.lease_until - b.now}
    b.put(lease_id=b.call.token, lease_until=b.now + b.settings["probe_lease_ms"])
    return {"granted": True}


def take_slot(b: Row, patience: float, *, is_in_turn: bool) -> Reply:
    """The next slot of the shared schedule, or a place in the line."""
    granted, wait = b.pace.take(b.now, patience, in_turn=is_in_turn)
    b.is_news = b.pace.has_risen(b.now)
    b.is_dirty = True
    in_turn = not granted and wait < LONGEST_WAIT
    return {"granted": granted, "wait_ms": math.ceil(wait), "in_turn": in_turn}


def prove_pace(b: Row) -> bool:
    """The first success of an epoch starts the rise. Returns whether this was it."""
    is_first = b.pace.prove(b.now)
    if is_first:
        clear_count(b)
    b.is_dirty = True
    return is_first


def close_if_calm(b: Row) -> None:
    """A pace that holds no job back guards nothing."""
    b.is_dirty = True
    if b.pace.is_calm(b.now):
        close(b)
        step(b, "closed", "the pace holds no job back any more")
