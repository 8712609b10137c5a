"""The one table of states, events and the steps between them.

The scripts in `lua/` make the steps; tests hold every step of every random history to this table.
The state diagram, log levels, colours, the help of metrics and the notes of the demo are drawn
from it or checked against it.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from breaker.model import State


@dataclass(frozen=True, slots=True)
class StateInfo:
    """What a state means to the people who look at it.

    Attributes:
        colour: its colour in a terminal.
        meaning: one line.
        is_paused: whether workers may not dequeue in it.
    """

    colour: str
    meaning: str
    is_paused: bool


@dataclass(frozen=True, slots=True)
class Event:
    """One kind of entry in the history.

    Attributes:
        meaning: one line.
        steps: the states that it may lead from and to.
        level: at which level it is logged, as `logging` numbers them.
        is_order: whether an operator made it.
    """

    meaning: str
    steps: frozenset[tuple[State, State]]
    level: int = logging.INFO
    is_order: bool = False


CLOSED, OPEN, HALF_OPEN = State.CLOSED, State.OPEN, State.HALF_OPEN
FORCED_OPEN, DISABLED = State.FORCED_OPEN, State.DISABLED

STATES: Mapping[State, StateInfo] = {
    CLOSED: StateInfo("green", "workers dequeue freely", is_paused=False),
    OPEN: StateInfo("red", "paused by rate limit errors, until the pause ends", is_paused=True),
    HALF_OPEN: StateInfo("yellow", "recovering: jobs start under control", is_paused=False),
    FORCED_OPEN: StateInfo("magenta", "paused by an operator", is_paused=True),
    DISABLED: StateInfo(
        "cyan", "errors are counted and never pause the queue", is_paused=False
    ),
}


def _to(*after: State, before: tuple[State, ...]) -> frozenset[tuple[State, State]]:
    return frozenset((one, other) for one in before for other in after)


_ANY = tuple(State)
_SAME = frozenset((state, state) for state in State)

EVENTS: Mapping[str, Event] = {
    "tripped": Event(
        "rate limit errors paused the queue (in shadow mode: would have)",
        _to(OPEN, before=(CLOSED, HALF_OPEN)) | {(CLOSED, CLOSED), (DISABLED, DISABLED)},
        level=logging.WARNING,
    ),
    "extended": Event(
        "a Retry-After reached further than the pause",
        frozenset({(OPEN, OPEN), (FORCED_OPEN, FORCED_OPEN)}),
    ),
    "open": Event(
        "an operator's pause ended, and the trip under it goes on",
        frozenset({(FORCED_OPEN, OPEN)}),
    ),
    "half-open": Event(
        "a pause ended, and the fleet recovers under control",
        _to(HALF_OPEN, before=(OPEN, FORCED_OPEN)),
    ),
    "paced": Event(
        "jobs start at a pace, without a pause before it",
        _to(HALF_OPEN, before=(CLOSED, HALF_OPEN)),
    ),
    "cut": Event(
        "a rate limit error slowed the recovery down",
        _to(OPEN, HALF_OPEN, before=(HALF_OPEN,)),
    ),
    "closed": Event(
        "workers dequeue freely again",
        _to(CLOSED, before=(OPEN, HALF_OPEN, FORCED_OPEN)),
    ),
    "paused": Event(
        "an operator paused the queue",
        _to(FORCED_OPEN, before=_ANY),
        is_order=True,
    ),
    "resumed": Event(
        "an operator ended a pause or a recovery",
        _to(CLOSED, DISABLED, before=(OPEN, HALF_OPEN, FORCED_OPEN)),
        is_order=True,
    ),
    "reset": Event(
        "an operator reset the breaker: closed, enabled, nothing counted",
        _to(CLOSED, before=_ANY),
        is_order=True,
    ),
    "disabled": Event(
        "an operator disabled the breaker: errors count, and nothing pauses",
        _to(DISABLED, before=_ANY),
        is_order=True,
    ),
    "enabled": Event(
        "an operator re-enabled the breaker",
        frozenset({(DISABLED, CLOSED), (FORCED_OPEN, FORCED_OPEN)}),
        is_order=True,
    ),
    "settings": Event("options have changed", _SAME),
    "state-lost": Event(
        "the store lost the state that this worker knew",
        frozenset(),
        level=logging.WARNING,
    ),
}


def is_allowed(event: str, before: str, after: str) -> bool:
    """Whether the table has this step."""
    return (before, after) in {(str(one), str(other)) for one, other in EVENTS[event].steps}


def level_of(event: str) -> int:
    """At which level an event is logged; one of a newer library is logged as information."""
    return EVENTS[event].level if event in EVENTS else logging.INFO
