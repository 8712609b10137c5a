"""What rate limit errors do to the automaton: trip, cut, extend (`trip.lua`)."""

from collections.abc import Mapping
from typing import Any

from breaker.machine.commit import clear_count
from breaker.machine.row import Reply, Row
from breaker.machine.transition import free_lease, set_pause, step
from breaker.pacing import as_text

# Cap on the exponent: 2**30 exceeds any possible max_cooldown / cooldown.
MOST_DOUBLINGS = 30
# An event is written only if a pause grows by this share of it ...
NEWS_SHARE = 0.1
# ... or by this many milliseconds.
NEWS_MS = 1000


def open_for(b: Row, event: str, ms: int, reason: str, more: Mapping[str, Any]) -> None:
    """Open for `ms`: an epoch of its own."""
    b.put(epoch=b.epoch + 1, state="open", reason=reason, by=b.call.who)
    b.put(trip_id=more.get("trip_id", ""), kind=more.get("kind", ""))
    b.put(opened_at=b.now, open_until=b.now + ms, pause_ms=ms)
    free_lease(b)
    set_pause(b)
    step(b, event, reason, {**more, "pause_ms": ms})


def asked_ms(b: Row) -> int:
    """What the upstream asked for ages: 300 s said 250 s ago is 50 s."""
    return max(0, b.run_until - b.now)


def trip_ms(b: Row, kind: str) -> int:
    """How long a trip pauses. Only the breaker's own cooldown doubles with each trip in a row."""
    asked = asked_ms(b)
    if kind == "quota":
        return max(asked, int(b.settings["quota_pause_ms"]))
    if asked > 0:
        return asked
    doubled: int = b.settings["cooldown_ms"] * 2 ** min(MOST_DOUBLINGS, b.reopens)
    return min(int(b.settings["max_cooldown_ms"]), doubled)


def trip(b: Row, reason: str, kind: str) -> None:
    """Pause the queue; in shadow mode only say so."""
    ms = trip_ms(b, kind)
    more: Reply = {
        "trip_id": b.call.token,
        "errors": b.count,
        "retry_after_ms": asked_ms(b),
        "evidence": list(b.run_errors),
    }
    more |= {"kind": kind} if kind == "quota" else {}
    b.put(trips=b.trips + 1)
    if b.settings["mode"] != "shadow":
        if b.settings["recovery"] == "pace":
            b.pace.trip(b.now, ms, is_anew=b.state != "half-open")
        open_for(b, "tripped", ms, reason, more)
        return
    b.put(epoch=b.epoch + 1, reason=reason, by=b.call.who, shadow_until=b.now + ms)
    clear_count(b)
    step(b, "tripped", reason, more | {"pause_ms": ms, "shadow": 1})


def go_paced(b: Row, event: str, reason: str, more: Mapping[str, Any] | None = None) -> None:
    """Jobs start at a pace without a pause before it, and without a trip."""
    b.put(state="half-open", reason=reason, by=b.call.who)
    step(b, event, reason, more)


def hold_back(b: Row, event: str, reason: str, more: Mapping[str, Any] | None = None) -> None:
    """The same as an epoch of its own: errors of jobs that started before it do not count again."""
    b.put(epoch=b.epoch + 1)
    go_paced(b, event, reason, more)


def cut(b: Row) -> None:
    """An error of a paced job: slow down."""
    before, ms = b.pace.rate(b.now), asked_ms(b)
    b.pace.cut(b.now, ms)
    b.put(cuts=b.cuts + 1)
    reason = _cut_reason(b, before)
    more: Reply = {
        "trip_id": b.trip_id,
        "retry_after_ms": ms,
        "evidence": list(b.run_errors),
    }
    if ms > 0:
        open_for(b, "cut", ms, reason, more)
    else:
        hold_back(b, "cut", reason, more)


def _cut_reason(b: Row, before: float) -> str:
    if b.pace.misses:
        return f"still limited: {b.count} rate limit errors in a row"
    after = b.pace.rate(b.pace.began)
    return f"paced down from {as_text(before)} to {as_text(after)} jobs/s"


def extend(b: Row, permit_incarnation: str, wanted: int) -> None:
    """Lengthen a trip's pause, if Retry-After reaches further by more than the noise."""
    if permit_incarnation not in ("", b.incarnation) or b.settings["mode"] == "shadow":
        return
    ms = min(b.settings["max_cooldown_ms"], wanted)
    if ms < b.open_until - b.now + min(NEWS_MS, b.pause_ms * NEWS_SHARE):
        return
    b.put(pause_ms=ms, open_until=b.now + ms)
    set_pause(b)
    step(b, "extended", "Retry-After reaches further", {"pause_ms": ms})
