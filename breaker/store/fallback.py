"""What a worker uses while the store is down: a breaker of its own, or a fixed answer."""

import json
import threading
import time
from collections.abc import Callable, Hashable, Mapping
from typing import TYPE_CHECKING, Any, Literal, get_args

from breaker import forking
from breaker.errors import StoreUnavailable
from breaker.settings import OPTIONS

if TYPE_CHECKING:
    from breaker.machine import Machine

# How long, in milliseconds, the local breaker keeps to its share of the pace before it raises it.
HELD = 60_000.0
# What a worker may use while the store is down.
Policy = Literal["local", "open", "closed", "raise"]
POLICIES: tuple[str, ...] = get_args(Policy)


class Fallback:
    """Answers for the store while it is down.

    Args:
        policy: "local" counts in memory by the same rules; "open" pauses; "closed" lets all jobs
            run; "raise" hands the outage on.
        last_known: what the store last said, with the pause that is left of it by now.
        probe_key: a key that may be written to see whether the store takes writes.
    """

    def __init__(
        self, policy: str, last_known: Callable[[], Mapping[str, Any]], probe_key: str
    ) -> None:
        self.probe_key = probe_key
        self._policy = policy
        self._last_known = last_known
        self._known_outage: Hashable = None
        self._offset = 0.0
        # Imported when a breaker is made, and not with the module: the command line reads states
        # and needs no rules.
        from breaker import machine  # noqa: PLC0415

        self._rules = machine
        self._machine = machine.Machine()
        self._lock = threading.Lock()
        forking.renewed(self)

    def answer(
        self, outage: Hashable, verb: str, given: Mapping[str, Any], error: StoreUnavailable
    ) -> dict[str, Any]:
        """Answer a script's call; another outage begins with what was known before it.

        Raises:
            StoreUnavailable: where that was chosen.
        """
        if self._policy == "raise":
            raise error
        with self._lock:
            if outage != self._known_outage:
                # Like the store's clock a time of day, but one that cannot jump.
                self._offset = time.time() - time.monotonic()
                self._known_outage, self._machine = outage, self._begin(self._now())
            now = self._now()
            return self._machine.answer(verb, now, given) | {"is_local": True}

    def _now(self) -> int:
        return int((time.monotonic() + self._offset) * 1000)

    def _begin(self, now: int) -> "Machine":
        """A new outage begins with what was known before it; an open pause stays open."""
        known = self._last_known()
        machine = self._rules.Machine(
            epoch=int(known.get("epoch", 0)), run=int(known.get("run", 0))
        )
        machine.incarnation = str(known.get("incarnation", "local"))
        wire_names = [option.wire_name for option in OPTIONS.values()]
        if all(name in known for name in wire_names):
            machine.settings = {name: known[name] for name in wire_names}
            machine.declared = json.dumps(machine.settings)
        if self._policy == "open" or (known.get("paused") and "resumes_in_ms" not in known):
            machine.order, machine.pause_until = "paused", self._rules.FOREVER
        elif self._policy == "closed" or known.get("state") == "disabled":
            machine.disabled = True
        elif known.get("paused") or known.get("state") == "open":
            # A pause that has just run out ends in a recovery here too, not at full speed.
            left = max(0, int(known.get("resumes_in_ms", 0)))
            machine.state, machine.pause_until = "open", now + left
            machine.pause_ms, machine.opened_at, machine.open_until = left, now, now + left
            machine.paused_from, machine.paused_until = now, now + left
        elif "pace" in known:
            # A worker without the store uses its share of the fleet's pace: the pace divided by
            # the number of subscribers.
            share = known["pace"] / max(1, known.get("listeners", 1))
            machine.state, machine.opened_at = "half-open", now
            machine.pace.hold(now, share, share, HELD)
        elif known.get("state") == "half-open":
            machine.state, machine.opened_at = "half-open", now
        return machine

    def after_fork(self) -> None:
        """In a forked child a thread of the parent may hold the lock."""
        self._lock = threading.Lock()
