"""What time alone changes; the next caller writes it down (`settle.lua`)."""

from breaker.machine.commit import clear_count
from breaker.machine.row import NOT_PAUSED, Row
from breaker.machine.transition import close, due_ms, note_paused, set_pause, step

# Milliseconds by which the pause key's end and the fields' may differ.
SLACK = 50
PAUSE_OVER = "pause over"
ORDER_OVER = "the operator's pause is over"


def recover(b: Row, reason: str) -> None:
    """A trip's pause is over."""
    if b.settings["recovery"] == "resume" or b.settings["mode"] == "shadow":
        close(b)
        step(b, "closed", reason, by="")
        return
    b.put(state="half-open")
    if b.settings["recovery"] == "pace":
        b.pace.begin(b.now)
    else:
        clear_count(b)
    step(b, "half-open", reason, by="")


def forget_order(b: Row) -> None:
    """No operator pauses the queue."""
    b.put(order="", order_until=0)


def end_order(b: Row) -> None:
    """An order has ended: what lies under it holds again."""
    forget_order(b)
    if b.state == "half-open" and b.settings["recovery"] == "pace":
        b.pace.thaw(b.now)
    set_pause(b)
    step(b, b.state_now, ORDER_OVER, by="")


def settle(b: Row) -> None:
    """Write down what time alone has changed."""
    due = due_ms(b)
    was_set = b.order == "paused" or b.state == "open"
    if due == NOT_PAUSED and b.left >= 0 and was_set:
        b.pause_until = None
    if b.left == NOT_PAUSED:
        _settle_ended_pause(b)
    elif b.order == "paused" and b.order_until > 0 and not b.is_ahead(b.order_until):
        end_order(b)
    elif due > 0 and b.left > due + SLACK:
        set_pause(b)


def _settle_ended_pause(b: Row) -> None:
    if b.paused_from > 0:
        note_paused(b)
    was_ordered = b.order == "paused"
    if was_ordered:
        forget_order(b)
    if b.state == "open":
        recover(b, ORDER_OVER if was_ordered else PAUSE_OVER)
    elif was_ordered:
        end_order(b)
    elif b.state == "half-open":
        _settle_recovery(b)


def _settle_recovery(b: Row) -> None:
    forget_after = b.settings["forget_after_ms"]
    if b.settings["recovery"] == "pace":
        if b.pace.is_over(b.now, forget_after):
            b.pace.end(b.now)
            _end_recovery(b, "the pace no longer limits the fleet")
    elif not b.is_ahead(b.lease_until) and b.now - max(b.clock, b.opened_at) >= forget_after:
        _end_recovery(b, "no job came while recovering")


def _end_recovery(b: Row, reason: str) -> None:
    close(b)
    step(b, "closed", reason, by="")
