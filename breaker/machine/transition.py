"""The only code that moves a breaker from one state to another (`transition.lua`)."""

from collections.abc import Mapping
from typing import Any

from breaker.machine.commit import clear_count
from breaker.machine.row import FOREVER, NOT_PAUSED, Reply, Row


def step(
    b: Row,
    event: str,
    reason: str,
    more: Mapping[str, Any] | None = None,
    by: str | None = None,
) -> None:
    """Note a change that was made: from the state before it to the state after it."""
    after = b.state_now
    made: Reply = {"event": event, "from": b.was, "to": after, "reason": reason}
    made |= {"epoch": b.epoch, "at": b.now, "incarnation": b.incarnation}
    b.steps.append(made | {"by": b.call.who if by is None else by} | dict(more or {}))
    b.was = after
    b.is_dirty = True


def due_ms(b: Row) -> int:
    """Milliseconds that the automaton and the order still pause, the later end of the two."""
    left = b.open_until - b.now if b.state == "open" else 0
    if b.order == "paused":
        if b.order_until == 0:
            return FOREVER
        left = max(left, b.order_until - b.now)
    return left if left > 0 else NOT_PAUSED


def note_paused(b: Row) -> None:
    """Add the pause that has ended to the total."""
    b.put(paused_total=b.paused_ms, paused_from=0, paused_until=0)


def set_pause(b: Row) -> None:
    """The pause key follows the two layers."""
    due = due_ms(b)
    if due == b.left:
        return
    if due == NOT_PAUSED:
        b.pause_until = None
        note_paused(b)
        return
    b.pause_until = FOREVER if due == FOREVER else b.now + due
    b.put(paused_from=b.paused_from or b.now, paused_until=b.now + due if due > 0 else 0)


def free_lease(b: Row) -> None:
    """No probe is running."""
    b.put(lease_id="", lease_until=0)


def close(b: Row) -> None:
    """The automaton is closed: no trip, no recovery, no count."""
    b.put(state="closed", reopens=0, trip_id="", kind="", results=[])
    clear_count(b)
    free_lease(b)
    set_pause(b)
