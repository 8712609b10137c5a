"""The frame of every operator's order (`order.lua`)."""

from collections.abc import Callable

from breaker.machine.commit import commit, remember
from breaker.machine.row import Call, Reply, Row
from breaker.machine.settings import enter
from breaker.machine.settle import forget_order
from breaker.machine.transition import close
from breaker.machine.view import view


def replaced(b: Row) -> Reply:
    """What an order that is given over another one replaces, in words for the history."""
    if b.order == "paused":
        left = (b.order_until - b.now) / 1000
        what = f"paused for another {left:.0f} s" if b.order_until else "paused until resumed"
        by, reason = b.order_by, b.order_reason
    elif b.disabled:
        what, by, reason = "disabled", b.disabled_by, b.disabled_reason
    else:
        return {}
    return {"replaces": what + (f" by {by}" if by else "") + (f": {reason}" if reason else "")}


def lift(b: Row) -> None:
    """Lift every order and end every trip and recovery, but not `disabled`."""
    forget_order(b)
    close(b)


def order(b: Row, now: int, call: Call, act: Callable[[], None]) -> Reply:
    """Carry an order out, once."""
    if (reply := enter(b, now, call, call.token)) is not None:
        return reply
    act()
    commit(b)
    return remember(b, call.token, view(b) | {"changed": bool(b.steps)})
