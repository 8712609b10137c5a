"""The breaker as a verb sees it: its fields, and what can be read off them (`row.lua`)."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from breaker.pacing import Pace

Reply = dict[str, Any]

# What is left of a pause, as PTTL says it.
FOREVER = -1
NOT_PAUSED = -2

# Transitions that are kept in memory, as many as the store's history holds.
EVENTS_KEPT = 1000

# Every field that is a moment on the store's clock.
MOMENTS = (
    "opened_at",
    "open_until",
    "order_at",
    "order_until",
    "paused_from",
    "paused_until",
    "lease_until",
    "shadow_until",
    "pushed_until",
    "run_until",
    "rival_at",
)


@dataclass(frozen=True, slots=True)
class Call:
    """Who asks, with which token, declaring which settings ("" for none)."""

    token: str
    who: str
    declares: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of the calls of one second."""

    second: int
    errors: int
    successes: int


@dataclass
class Row:
    """One breaker. The fields of the state hash, the count, the pause key, and the present call.

    Two layers: `state` is the automaton; `order` and `disabled` are what an operator decided.
    """

    incarnation: str = ""
    version: int = 0
    clock: int = 0
    state: str = "closed"
    epoch: int = 0
    run: int = 0
    count: int = 0
    count_until: int = 0
    pause_until: int | None = None
    pause_ms: int = 0
    opened_at: int = 0
    open_until: int = 0
    reason: str = ""
    by: str = ""
    trip_id: str = ""
    kind: str = ""
    order: str = ""
    order_until: int = 0
    order_at: int = 0
    order_reason: str = ""
    order_by: str = ""
    disabled: bool = False
    disabled_reason: str = ""
    disabled_by: str = ""
    paused_total: int = 0
    paused_from: int = 0
    paused_until: int = 0
    reopens: int = 0
    lease_id: str = ""
    lease_until: int = 0
    shadow_until: int = 0
    pushed_run: int = 0
    pushed_until: int = 0
    news: int = 0
    listeners: int = 0
    run_until: int = 0
    run_workers: list[str] = field(default_factory=list)
    run_errors: list[Reply] = field(default_factory=list)
    old_successes: int = 0
    results: list[Result] = field(default_factory=list)
    trips: int = 0
    cuts: int = 0
    rate_limit_errors: int = 0
    declared: str = ""
    declared_by: str = ""
    declarations: list[str] = field(default_factory=list)
    rival: str = ""
    rival_by: str = ""
    rival_at: int = 0
    overrides: Reply = field(default_factory=dict)
    settings: Reply = field(default_factory=dict)
    pace: Pace = field(default_factory=Pace)
    seen: dict[str, tuple[int, str, Reply]] = field(default_factory=dict)
    history: deque[Reply] = field(default_factory=lambda: deque(maxlen=EVENTS_KEPT))
    now: int = 0
    call: Call = field(default_factory=lambda: Call("", ""))
    was: str = "closed"
    steps: list[Reply] = field(default_factory=list)
    is_dirty: bool = False
    is_counted: bool = False
    is_news: bool = False
    is_new: bool = False

    # -- reading

    @property
    def left(self) -> int:
        """Milliseconds until the pause key goes: FOREVER, NOT_PAUSED, or how many."""
        if self.pause_until is None:
            return NOT_PAUSED
        return FOREVER if self.pause_until == FOREVER else self.pause_until - self.now

    @property
    def is_paused(self) -> bool:
        """Whether the pause key exists."""
        return self.pause_until is not None

    @property
    def state_now(self) -> str:
        """What a caller sees as the state: the order, over the automaton."""
        if self.order == "paused" or self.left == FOREVER:
            return "forced-open"
        if self.is_paused or self.state == "open":
            return "open"
        return "disabled" if self.disabled else self.state

    @property
    def is_paced(self) -> bool:
        """Whether jobs take slots of the shared schedule."""
        return self.settings.get("recovery") == "pace" and self.state_now == "half-open"

    def is_ahead(self, moment: int) -> bool:
        """Whether a moment is still to come."""
        return moment > self.now

    @property
    def paused_ms(self) -> int:
        """How long the queue has been paused, ever."""
        if not self.paused_from:
            return self.paused_total
        till = min(self.now, self.paused_until) if self.paused_until else self.now
        return self.paused_total + max(0, till - self.paused_from)

    # -- changing

    def put(self, **values: Any) -> None:
        """Change fields of the state hash."""
        for name, value in values.items():
            setattr(self, name, value)
        self.is_dirty = True

    def begin(self, now: int, call: Call) -> None:
        """Start a call: drop what the store's TTLs would have dropped, follow the clock back."""
        self.now, self.call, self.steps = now, call, []
        self.is_dirty = self.is_counted = self.is_news = self.is_new = False
        if self.pause_until not in (None, FOREVER) and self.left <= 0:
            self.pause_until = None
        if now >= self.count_until:
            self.count = self.count_until = 0
        if self.clock > now:
            self._turn_back(self.clock - now)
        self.was = self.state_now

    def _turn_back(self, ms: int) -> None:
        values: Mapping[str, int] = {name: getattr(self, name) for name in MOMENTS}
        self.put(**{name: value - ms for name, value in values.items() if value > 0})
        self.pace.shift(-ms)
        if self.left > 0:
            self.pause_until = self.now + max(1, self.left - ms)
