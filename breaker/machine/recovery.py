"""Half-open: which job may go, by the recovery that is set (`recovery.lua`)."""

import math

from breaker.machine.commit import clear_count
from breaker.machine.row import Reply, Row

# Milliseconds for which the reply to an acquire is kept for its repeat.
SLOT_KEPT = 10_000
# Marks it: the permit's own report comes under the same id.
SLOT = "slot "


def take_probe(b: Row) -> Reply:
    """One job at a time, under a lease that refusals do not touch."""
    if b.lease_id == b.call.token:
        return {"granted": True}
    if b.is_ahead(b.lease_until):
        return {"granted": False, "wait_ms": b.lease_until - b.now}
    b.put(lease_id=b.call.token, lease_until=b.now + b.settings["probe_lease_ms"])
    return {"granted": True}


def take_slot(b: Row, patience: float, turn: float) -> Reply:
    """The next slot of the shared schedule, or a place in the line."""
    told = b.pace.take(b.now, patience, turn)
    b.is_news = b.pace.has_risen(b.now)
    b.is_dirty = True
    in_turn = told.turn or False
    return {"granted": told.granted, "wait_ms": math.ceil(told.wait), "in_turn": in_turn}


def is_slot_of(b: Row, permit_id: str) -> bool:
    """Whether this permit has a slot of the present epoch, by the reply that is kept for 10 s."""
    until, _, kept = b.seen.get(SLOT + permit_id, (0, "", {}))
    is_kept = b.is_paced and b.now < until
    return is_kept and bool(kept["granted"]) and kept["epoch"] == b.epoch


def give_back(b: Row, permit_id: str) -> None:
    """Take a slot back that no job used."""
    del b.seen[SLOT + permit_id]
    b.pace.give_back(b.now)
    b.is_dirty = True


def prove_pace(b: Row) -> bool:
    """The first success of an epoch starts the rise. Returns whether this was it."""
    is_first = b.pace.prove(b.now)
    if is_first:
        clear_count(b)
    b.is_dirty = True
    return is_first
