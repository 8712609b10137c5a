"""The values everybody speaks: Status, Transition, Grant. Seconds and UTC throughout."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class State(StrEnum):
    """Whether the queue may be read."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"
    FORCED_OPEN = "forced-open"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class Status:
    """What the store says of one breaker at one moment.

    Attributes:
        name: the queue it guards.
        state: closed, open, half-open, forced-open or disabled.
        is_paused: whether workers may not dequeue now.
        consecutive_errors: rate limit errors since the last success, over the whole fleet.
        threshold: how many of them pause the queue.
        cooldown: seconds that a pause lasts if the upstream does not say how long.
        epoch: the number of the last pause; it only grows.
        resumes_in: seconds until the queue resumes by itself; None if not paused, or if only an
            operator can resume it.
        opened_at: when the present pause or recovery began; None while closed.
        reason: why it was paused last.
        by: who did that: a worker, or an operator.
        trips: how often it has tripped, ever.
        cuts: how often a paced recovery was slowed down, ever.
        rate_limit_errors: how many were reported, ever.
        paused_seconds: how long it has been paused, ever, the present pause included.
        recovery: "pace", "probe" or "resume".
        pace: jobs per second that a recovering fleet may do at present; None if it is not paced.
        mode: "enforce", or "shadow", which never pauses.
        min_workers: from how many workers the errors must come.
        max_cooldown: the longest pause in seconds.
        forget_after: seconds without an error after which the count is forgotten.
        probe_lease: seconds that a probe may take before another worker gets to try.
        quota_pause: seconds that an exhausted quota pauses the queue.
        pace_from: the share of rate limit errors that starts a pace without a pause.
        idle_ttl: seconds after which state that no caller used is removed from the store.
        probe_until: seconds until the present probe's lease ends; None if there is none.
        overrides: the options an operator has set over what the workers declare.
        automaton: what lies under an operator's order: closed, open or half-open.
        order: "paused" or "disabled", if an operator decided so; else empty.
        order_ends_in: seconds until an operator's pause ends; None if there is none, or no end.
        trip_ends_in: under an operator's pause, seconds until the trip under it ends; else None.
        kind: "quota" if an exhausted quota tripped the breaker; else empty.
        conflict: the options that another release, running side by side, declares otherwise.
        conflict_by: a worker of that release.
        push_lost: why the store could not publish the last change; empty if it could.
        trip_id: the random id of the present trip.
        incarnation: the random id of the store's state; another one means that it was lost.
        version: grows with every change within an incarnation.
        exists: whether the store knows this breaker.
        tripped: on the answer to a report, whether this very report tripped the breaker.
        duplicate: on the answer to a report, whether it had been reported before.
    """

    name: str
    state: State
    is_paused: bool
    consecutive_errors: int
    threshold: int
    cooldown: float
    epoch: int
    resumes_in: float | None = None
    opened_at: datetime | None = None
    reason: str = ""
    by: str = ""
    trips: int = 0
    cuts: int = 0
    rate_limit_errors: int = 0
    paused_seconds: float = 0.0
    recovery: str = ""
    pace: float | None = None
    mode: str = "enforce"
    min_workers: int = 1
    max_cooldown: float = 0.0
    forget_after: float = 0.0
    probe_lease: float = 0.0
    quota_pause: float = 0.0
    pace_from: float = 0.0
    idle_ttl: float = 0.0
    probe_until: float | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    automaton: State = State.CLOSED
    order: str = ""
    order_ends_in: float | None = None
    trip_ends_in: float | None = None
    kind: str = ""
    conflict: Mapping[str, Any] = field(default_factory=dict)
    conflict_by: str = ""
    push_lost: str = ""
    trip_id: str = ""
    incarnation: str = ""
    version: int = 0
    exists: bool = True
    tripped: bool = False
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class LocalState:
    """What a process knows of one breaker without asking.

    Attributes:
        state: "closed", dequeue freely; "paused"; "paced", each job needs a slot or a probe;
            "unknown", the store must be asked.
        resumes_in: seconds that are left of a pause; None if not paused, or if only an operator
            can end it.
        pace: jobs per second that the whole fleet may do; None if it is not paced.
    """

    state: str
    resumes_in: float | None = None
    pace: float | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """One of the rate limit errors that led to a trip."""

    id: str
    worker: str
    at: datetime
    retry_after: float | None


@dataclass(frozen=True, slots=True)
class Transition:
    """One entry of a breaker's history.

    Attributes:
        name: the breaker.
        event: its name; `breaker.transitions.EVENTS` lists and explains them.
        before: the state it was in.
        after: the state it is in now.
        epoch: the number of the pause it belongs to.
        at: when, on the store's clock.
        reason: why.
        by: the worker or operator; empty where time alone did it.
        pause: seconds that a pause was set to last; None if there is no end to it, or no pause.
        errors: how many errors in a row led to it.
        evidence: the last of those errors.
        trip_id: the random id of the trip.
        is_shadow: whether it would have paused the queue, had it not been in shadow mode.
        settings: for "settings", the options that were set; None for an override that was removed.
        replaces: for an operator's order, the order that it replaced, in words.
        kind: for "tripped", "quota" if an exhausted quota was the cause; else empty.
        incarnation: the random id of the store's state.
        version: the state's version after it.
        id: its place in the event stream; empty in an answer.
        is_local: made by this worker alone, while the store was down.
    """

    name: str
    event: str
    before: str
    after: str
    epoch: int
    at: datetime
    reason: str = ""
    by: str = ""
    pause: float | None = None
    errors: int = 0
    evidence: tuple[Evidence, ...] = ()
    trip_id: str = ""
    is_shadow: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    replaces: str = ""
    kind: str = ""
    incarnation: str = ""
    version: int = 0
    id: str = ""
    is_local: bool = False


@dataclass(frozen=True, slots=True)
class Grant:
    """Leave to run one job, as the store gave it: the fences its result is judged by.

    `incarnation`, `epoch` and `run`: what it is judged by. `is_probe`: the recovery hangs on its result. `is_local`: it was given by this worker alone,
    while the store was down. `is_paced`: it is one slot of the fleet's schedule, and a success
    tells nothing more, unless it is a probe.
    """

    id: str
    epoch: int
    run: int
    is_probe: bool
    is_local: bool = False
    is_paced: bool = False
    incarnation: str = ""
