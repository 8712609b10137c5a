"""What a breaker tells of itself (`view.lua`)."""

import json
import math

from breaker.machine.row import Reply, Row

# Milliseconds between two pushes that tell of the first error of a run.
PUSH_EVERY = 1000
# Factor: a pace that is held so far below what is allowed by now may go faster.
FAR_BELOW = 1.5
# Milliseconds for which a conflict between two releases' settings is shown after its last sign.
RIVAL_SHOWN = 600_000


def brief(b: Row) -> Reply:
    """What a worker needs to know to go on without asking."""
    seen: Reply = {
        "version": b.version,
        "news": b.news,
        "state": b.state_now,
        "paused": b.is_paused,
        "epoch": b.epoch,
        "run": b.run,
        "count": b.count,
        "listeners": b.listeners,
    }
    if b.incarnation:
        seen["incarnation"] = b.incarnation
    if b.left >= 0:
        seen["resumes_in_ms"] = b.left
    if b.is_paced:
        seen |= {"pace": as_rate(b.pace.rate(b.now)), "told": as_rate(b.pace.told)}
        limit = held_to(b)
        seen |= {"held": as_rate(limit)} if limit else {}
    is_recovering = seen["state"] in ("open", "half-open")
    if b.settings.get("recovery") == "pace" and is_recovering and b.pace.is_new:
        seen["asks"] = b.pace.round
    return seen


def held_to(b: Row) -> float | None:
    """Jobs per second that the upstream must allow for a held pace to rise; None if it is not held."""
    return b.pace.rate(b.now) * FAR_BELOW if b.pace.proven > b.now else None


def view(b: Row) -> Reply:
    """All there is to know."""
    seen = brief(b) | {
        "exists": b.incarnation != "",
        "automaton": b.state,
        "disabled": b.disabled,
        "overrides": b.overrides,
        "trips": b.trips,
        "cuts": b.cuts,
        "rate_limit_errors": b.rate_limit_errors,
        "paused_ms": b.paused_ms,
        **_reason(b),
        **_order(b),
        **_rival(b),
        **_options(b),
    }
    if b.is_ahead(b.pushed_until):
        seen["untold_for_ms"] = b.pushed_until - b.now
    if seen["state"] in ("open", "half-open", "forced-open"):
        seen |= {"trip_id": b.trip_id, "kind": b.kind}
    else:
        del seen["opened_at"]
    if seen["state"] == "half-open" and b.is_ahead(b.lease_until):
        seen["lease_left_ms"] = b.lease_until - b.now
    return seen


def _reason(b: Row) -> Reply:
    if b.order == "paused":
        return {"reason": b.order_reason, "by": b.order_by, "opened_at": b.order_at}
    opened_at = b.opened_at or None
    if b.disabled:
        return {"reason": b.disabled_reason, "by": b.disabled_by, "opened_at": opened_at}
    return {"reason": b.reason, "by": b.by, "opened_at": opened_at}


def _order(b: Row) -> Reply:
    if b.order != "paused":
        return {"order": "disabled"} if b.disabled else {}
    seen: Reply = {"order": "paused"}
    if b.order_until > 0:
        seen["order_left_ms"] = max(0, b.order_until - b.now)
    if b.state == "open":
        seen["trip_left_ms"] = max(0, b.open_until - b.now)
    return seen


def _rival(b: Row) -> Reply:
    is_shown = b.rival_at > 0 and b.now - b.rival_at < RIVAL_SHOWN
    return {"rival": b.rival, "rival_by": b.rival_by} if is_shown else {}


def _options(b: Row) -> Reply:
    declared: Reply = json.loads(b.declared or "{}")
    return {option: b.settings[option] for option in declared}


def as_rate(rate: float) -> float:
    """A rate with three decimals, as the Lua writes it."""
    return math.floor(min(rate, 1_000_000.0) * 1000 + 0.5) / 1000
