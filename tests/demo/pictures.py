"""Moments and outcomes to draw and to judge."""

from datetime import UTC, datetime

from breaker import State, Status, Transition
from breaker.demo.ledger import Tally
from breaker.demo.picture import Calls, Outcome, Picture, Second
from breaker.demo.plan import Phase, Plan

PLAN = Plan(workers=4, rate=48, duration=60, threshold=5)
WITHOUT, WITH = PLAN.phases()
STARTED = 1_800_000_000.0


def step(event, at=0.0, **more):
    given = {
        "name": "content",
        "before": "",
        "after": "",
        "epoch": 1,
        "version": int(at * 10) + 1,
    }
    return Transition(event=event, at=datetime.fromtimestamp(STARTED + at, UTC), **given | more)


TRIP = step("tripped", 8, by="w3", reason="5 rate limit errors in a row", pause=12.0, errors=5)
HALF_OPEN = step("half-open", 20, reason="cooldown over")
CLOSED = step("closed", 33, by="w1", reason="the pace no longer limits the fleet")
CUT = step("cut", 26, by="w2", reason="paced down from 101 to 50.4 jobs/s", pause=1.0)


def status(state=State.CLOSED, **more):
    given = {"is_paused": state is State.OPEN, "consecutive_errors": 0, "threshold": 5}
    return Status(name="content", state=state, cooldown=60.0, epoch=1, **given | more)


def picture(phase: Phase = WITH, workers=4, **more):
    names = tuple(f"w{number + 1}" for number in range(workers))
    begun = {(name, "content"): 4 for name in names} | {(names[0], "other"): 2}
    given = {
        "elapsed": 9.0,
        "calls": Calls(100, 90, 10, 90),
        "content": Tally(100, 90, 10, 0),
        "other": Tally(50, 50, 0, 0),
        "status": status() if phase.has_breaker else None,
        "transitions": (),
        "seconds": (Second(16, 0, begun), Second(10, 6, begun)),
    }
    return Picture(phase=phase, workers=names, **given | more)


def outcome(phase: Phase = WITH, **more):
    given = {
        "calls": Calls(100, 90, 10, 90),
        "content": Tally(100, 90, 10, 0),
        "other": Tally(50, 50, 0, 0),
        "seconds": (),
        "transitions": (TRIP, HALF_OPEN, CLOSED) if phase.has_breaker else (),
    }
    return Outcome(phase=phase, **given | more)
