"""A circuit breaker for the store itself: while the store is down, calls fail fast."""

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from breaker import forking
from breaker.errors import StoreUnavailable
from breaker.jitter import uniform
from breaker.store.topology import Shard

# Seconds until the store is tried again: the first time, and at most.
SHORTEST = 0.1
LONGEST = 2.0

_LOGGER = logging.getLogger("breaker")


class Outage:
    """Whether it is worth asking a store; shared by all workers in this process.

    Args:
        target: the store, or a shard of it.
        is_told: whether its beginning and end are logged.

    Attributes:
        number: how many outages there have been, the present one included.
        failures: how many commands were not answered, or not carried out for now.
        is_on: whether there is one now.
        has_prober: a thread finds out whether it is over, so that no job has to wait for that;
            without one, a job is let through now and then.
        on_begin: called when one begins.
        says: why the store is taken to be down.
    """

    def __init__(self, target: object, *, is_told: bool = True) -> None:
        self._target = target
        self._is_told = is_told
        self.number = 0
        self.failures = 0
        self.is_on = False
        self.has_prober = False
        self._needs_write = False
        self.on_begin: Callable[[], None] = lambda: None
        self._began = 0.0
        self._ended = 0.0
        self._failures = 0
        self._ask_again = 0.0
        self.says = ""
        self._lock = threading.Lock()

    def check(self) -> bool:
        """Let one job through now and then, and refuse the others at once.

        Returns:
            Whether this one is let through, to see if the store is back.

        Raises:
            StoreUnavailable: not now.
        """
        if not self.is_on:
            return False
        with self._lock:
            now = time.monotonic()
            if self.has_prober or now < self._ask_again:
                raise StoreUnavailable(self.says)
            self._ask_again = now + LONGEST
            return True

    def is_due(self) -> bool:
        """Whether there is an outage, and it is time to look if it is over."""
        return self.is_on and time.monotonic() >= self._ask_again

    def failed(
        self, error: StoreUnavailable, asked_at: float, *, is_read_only: bool = False
    ) -> None:
        """The store did not answer, or answered that it only reads for now.

        Args:
            error: what it said.
            asked_at: when it was asked, in monotonic seconds: the failure of a command that was
                sent before the store recovered is ignored.
            is_read_only: it reads, but takes no writes.
        """
        with self._lock:
            now = time.monotonic()
            self.failures += 1
            if not self.is_on and asked_at < self._ended:
                return
            is_new = not self.is_on
            if is_new:
                self.is_on, self._began, self._failures = True, now, 0
                self.number += 1
                self._needs_write = False
            if is_read_only:
                self._needs_write = True
            delay = min(LONGEST, SHORTEST * 2**self._failures)
            self._failures = min(self._failures + 1, 10)
            self._ask_again = now + delay * uniform(0.5, 1.0)
            self.says = str(error)
        if is_new:
            self.on_begin()
        if is_new and self._is_told:
            _LOGGER.warning(
                "%s; on_store_failure applies, retrying in the background",
                str(error).rstrip("."),
                extra=self._fields("store-down", reason=str(error)),
            )

    def ended(self, *, is_write: bool) -> None:
        """The store answered; one that only read must have written to be well again."""
        with self._lock:
            if self._needs_write and not is_write:
                return
            was_on, self.is_on = self.is_on, False
            if was_on:
                self._ended = time.monotonic()
            lasted = self._ended - self._began
        if was_on and self._is_told:
            _LOGGER.warning(
                "the store at %s answers again after %.1f s",
                *(self._target, lasted),
                extra=self._fields("store-up", lasted=round(lasted, 3)),
            )

    def _fields(self, event: str, **more: str | float) -> dict[str, Any]:
        """As a transition's record has them: plain values in the attribute `breaker`."""
        at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return {"breaker": {"event": event, "at": at, "store": str(self._target), **more}}

    def after_fork(self) -> None:
        """In a forked child there is no prober, and a thread of the parent may hold the lock."""
        self._lock, self.has_prober = threading.Lock(), False
        self.failures = 0  # the parent reports its own


_by_store: dict[str, Outage] = {}


def outage_of(shard: Shard) -> Outage:
    """This process's view of the health of a store, or of a shard of it."""
    return _by_store.get(shard.identity) or _by_store.setdefault(shard.identity, Outage(shard))


def failures() -> int:
    """How many commands failed in this process, whatever the store."""
    return sum(outage.failures for outage in tuple(_by_store.values()))


@forking.in_child
def _after_fork() -> None:
    for outage in _by_store.values():
        outage.after_fork()
