"""The values that cross modules: Status, Transition, Grant. All times in seconds or UTC."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class State(StrEnum):
    """The states of a breaker."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"
    FORCED_OPEN = "forced-open"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class Status:
    """One breaker at one moment, as the store has it.

    Attributes:
        name: the queue it guards.
        state: closed, open, half-open, forced-open or disabled.
        is_paused: whether workers may not dequeue now.
        consecutive_errors: rate limit errors since the last success, over the whole fleet.
        threshold: rate limit errors in a row that pause the queue.
        cooldown: seconds that a pause lasts if the upstream sends no Retry-After.
        epoch: grows with every trip, pause and cut.
        resumes_in: seconds until the queue resumes by itself; None if not paused, or if only an
            operator can resume it.
        opened_at: when the present pause or recovery began; None while closed.
        reason: why it was paused last.
        by: the worker or operator who caused that.
        trips: trips since the breaker was made.
        cuts: cuts of the pace since the breaker was made.
        rate_limit_errors: rate limit errors since the breaker was made.
        paused_seconds: seconds it was paused since it was made, the present pause included.
        recovery: "pace", "probe" or "resume".
        pace: jobs per second that the recovering fleet may start now; None if it is not paced.
        mode: "enforce", or "shadow", which never pauses the queue.
        min_workers: different workers from which the errors must come.
        max_cooldown: the longest pause in seconds.
        forget_after: seconds without an error after which the count starts again at 0.
        probe_lease: seconds that a probe may take before another worker may try.
        quota_pause: seconds that an exhausted quota pauses the queue.
        pace_from: the share of rate limit errors that starts a pace without a pause.
        idle_ttl: seconds without use after which the state is removed from the store.
        probe_until: seconds until the lease of the running probe ends; None without a probe.
        overrides: the options that an operator overrides.
        automaton: what lies under an operator's order: closed, open or half-open.
        order: "paused" or "disabled", if an operator decided so; else empty.
        order_ends_in: seconds until an operator's pause ends; None without one, or without an end.
        trip_ends_in: under an operator's pause, seconds until the trip under it ends; else None.
        kind: "quota" if an exhausted quota tripped the breaker; else empty.
        conflict: the options that another release, running side by side, declares otherwise.
        conflict_by: a worker of that release.
        push_lost: why the store could not publish the last change; empty if it could.
        trip_id: the random id of the present trip.
        incarnation: the random id of the store's state; another one means that it was lost.
        version: grows with every change within an incarnation.
        exists: whether the store knows this breaker.
        tripped: in the reply to a report, whether this report tripped the breaker.
        duplicate: in the reply to a report, whether it had been reported before.
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

    @property
    def can_trip(self) -> bool:
        """Whether enough errors would pause the queue: not in shadow mode, not if disabled."""
        return (
            self.mode != "shadow" and self.order != "disabled" and self.state != State.DISABLED
        )


@dataclass(frozen=True, slots=True)
class LocalState:
    """What a process knows of one breaker without a command to the store.

    Attributes:
        state: "closed", dequeue freely; "paused"; "paced", each job needs a slot or a probe;
            "unknown", the store must be asked.
        resumes_in: seconds until a pause ends; None if not paused, or if only an operator ends
            it.
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
        epoch: the epoch that it belongs to.
        at: when, on the store's clock.
        reason: why.
        by: the worker or operator; empty if a pause's time was over.
        pause: seconds that a pause was set to last; None without an end, or without a pause.
        errors: errors in a row that led to it.
        evidence: the latest of those errors.
        trip_id: the random id of the trip.
        is_shadow: whether it would have paused the queue, had it not been in shadow mode.
        settings: for "settings", the options that were set; None for an override that was removed.
        replaces: for an operator's order, the order that it replaced, in words.
        kind: for "tripped", "quota" if an exhausted quota was the cause; else empty.
        incarnation: the random id of the store's state.
        version: the state's version after it.
        id: its id in the event stream; empty in a reply.
        is_local: made by this worker's local breaker, while the store was down.
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

    def plain(self) -> dict[str, Any]:
        """The fields as JSON has them, so that any formatter of logs can write them."""
        fields: dict[str, Any] = _plain(asdict(self))
        return fields


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, str) else value


@dataclass(frozen=True, slots=True)
class Grant:
    """A permit as the store gave it, with the numbers by which a late result is recognised.

    Attributes:
        id: the permit's id.
        epoch: the epoch in which it was given.
        run: the run of errors that the worker knew of.
        is_probe: its job tests the upstream during a recovery, so its result must be reported.
        is_local: given by this worker's local breaker, while the store was down.
        is_paced: a slot of the fleet's schedule; its success is not reported unless it is a probe.
        incarnation: the incarnation of the state that gave it.
    """

    id: str
    epoch: int
    run: int
    is_probe: bool
    is_local: bool = False
    is_paced: bool = False
    incarnation: str = ""
