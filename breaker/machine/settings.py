"""What workers declare, and over it what an operator has set (`settings.lua`)."""

import json

from breaker.machine.commit import answer, commit
from breaker.machine.row import Call, Reply, Row
from breaker.machine.settle import settle
from breaker.machine.transition import close, step
from breaker.machine.view import view

# Declarations that are remembered.
DECLARATIONS_KEPT = 5


def enter(b: Row, now: int, call: Call, report_id: str = "") -> Reply | None:
    """What every verb that may write does first. Returns the reply if there is nothing else to do."""
    b.begin(now, call)
    if report_id and (reply := repeated(b, report_id)) is not None:
        return reply
    if not b.declared and not call.declares:
        return {"wanted": "settings"}
    if not b.incarnation:
        b.is_new = True
        b.put(incarnation=call.token)
    settle(b)
    declare(b)
    return None


def repeated(b: Row, report_id: str) -> Reply | None:
    """The answer to a repeat of a report or an order; None if this is not a repeat."""
    until, token, kept = b.seen.get(report_id, (0, "", {}))
    if b.now >= until:
        b.seen.pop(report_id, None)
        return None
    is_same = token == b.call.token
    if is_same and "incarnation" in kept:
        commit(b)
        return kept
    settle(b)
    commit(b)
    own = {**kept, "tripped": False} if is_same else {"duplicate": True}
    return answer(b, view(b) | own)


def declare(b: Row) -> None:
    """A starting worker declares all of its settings; the newest start wins."""
    declares = b.call.declares
    if declares in ("", b.declared):
        return
    was_known = declares in b.declarations
    others = [one for one in b.declarations if one != declares]
    b.put(declarations=[declares, *others][:DECLARATIONS_KEPT])
    if was_known:
        b.put(rival=b.declared, rival_by=b.declared_by, rival_at=b.now)
    elif b.declared:
        step(b, "settings", "declared by a worker", {"settings": _changed(b)})
    b.put(declared=declares, declared_by=b.call.who)
    apply_settings(b, may_end_pause=False)


def _changed(b: Row) -> Reply:
    before, after = json.loads(b.declared), json.loads(b.call.declares)
    return {option: value for option, value in after.items() if before.get(option) != value}


def apply_settings(b: Row, *, may_end_pause: bool) -> None:
    """Put the merged settings in force."""
    was = b.settings
    b.put(settings=json.loads(b.declared) | b.overrides)
    _leave_old_mode(b, was, may_end_pause=may_end_pause)


def _leave_old_mode(b: Row, was: Reply, *, may_end_pause: bool) -> None:
    mode, recovery = b.settings["mode"], b.settings["recovery"]
    if mode != was.get("mode"):
        b.put(shadow_until=0)
    is_recovering = b.state == "half-open"
    if mode == "shadow" and (is_recovering or (may_end_pause and b.state != "closed")):
        _abandon(b, "shadow mode never pauses")
    elif is_recovering and recovery == "resume":
        _abandon(b, "recovery=resume has no half-open state")
    elif is_recovering and recovery == "pace" and was.get("recovery") != "pace":
        b.pace.begin(b.now)


def _abandon(b: Row, reason: str) -> None:
    close(b)
    if b.state_now != b.was:
        step(b, "closed", reason)
