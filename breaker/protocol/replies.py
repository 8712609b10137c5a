"""What the scripts answer, field by field, so that the type checker sees who reads what.

A field that does not apply is left out of a reply. Durations are milliseconds.
"""

from typing import Any, TypedDict


class Reply(TypedDict, total=False):
    """The brief view: what a worker needs to know to go on without asking."""

    incarnation: str
    version: int
    news: int
    state: str
    paused: bool
    epoch: int
    run: int
    count: int
    resumes_in_ms: float
    listeners: int
    pace: float
    told: float
    held: float
    asks: int
    transitions: list[dict[str, Any]]
    event_lost: str
    push_lost: str
    is_local: bool  # from the breaker in memory, not from the store
    may_have_run: bool  # beside is_local: the store's own reply may be lost


class Snapshot(Reply, total=False):
    """The whole view: the answer to snapshot, to rate_limit_error and to an operator's order."""

    untold_for_ms: float
    automaton: str
    disabled: bool
    order: str
    order_left_ms: float
    trip_left_ms: float
    kind: str
    rival: Any
    rival_by: str
    changed: bool
    exists: bool
    reason: str
    by: str
    overrides: Any
    trips: int
    cuts: int
    rate_limit_errors: int
    paused_ms: float
    recovery: str
    mode: str
    threshold: int
    cooldown_ms: float
    max_cooldown_ms: float
    min_workers: int
    forget_after_ms: float
    probe_lease_ms: float
    quota_pause_ms: float
    idle_ttl_ms: float
    pace_from: float
    opened_at: float
    trip_id: str
    lease_left_ms: float
    # of a rate limit error alone
    counted: bool
    tripped: bool
    duplicate: bool


class Leave(Reply, total=False):
    """The answer to acquire."""

    granted: bool
    wait_ms: float
    in_turn: int
    probe: bool


class Changed(Reply, total=False):
    """The answer to success, release and observe."""

    changed: bool
