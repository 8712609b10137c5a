"""Counters of this process, exported by `breaker.metrics.WorkerCollector`.

Nothing here is touched while a queue is quiet.
"""

import contextlib
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping

from breaker import forking
from breaker.push import Watch

_workers: "weakref.WeakSet[Worker]" = weakref.WeakSet()
# By breaker, and kept when it is closed: a counter does not go back.
_waits: dict[str, tuple[int, float]] = {}
_lock = threading.Lock()
# Called with a breaker's name and the seconds of each wait.
on_wait: list[Callable[[str, float], None]] = []


class Worker:
    """One breaker object of this process, until it is closed.

    Args:
        name: the breaker's.
        policy: `on_store_failure`, what it uses while the store is down.
        is_away: whether the store is taken to be down.
        watch: what it is pushed, if it is.
    """

    def __init__(
        self, name: str, policy: str, is_away: Callable[[], bool], watch: Watch | None
    ) -> None:
        self.name = name
        self.is_pushed = watch is not None
        self._policy = policy
        self._is_away = is_away
        self._watch = watch
        with _lock:
            _workers.add(self)

    @property
    def is_alone(self) -> bool:
        """Whether it uses its local breaker now, because the store does not answer."""
        return self._policy != "raise" and self._is_away()

    @property
    def staleness(self) -> float | None:
        """Seconds since what it was pushed was proven; None: the store is asked each time."""
        return self._watch.staleness if self._watch is not None else None

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Count the time that this takes."""
        began = time.monotonic()
        try:
            yield
        finally:
            lasted = time.monotonic() - began
            with _lock:
                count, seconds = _waits.get(self.name, (0, 0.0))
                _waits[self.name] = (count + 1, seconds + lasted)
            for call in on_wait:
                # A metric that cannot be written, to a full disk say, must not break a job.
                with contextlib.suppress(Exception):
                    call(self.name, lasted)

    def leave(self) -> None:
        """Forget this breaker: it was closed."""
        with _lock:
            _workers.discard(self)


def workers() -> list[Worker]:
    """This process's breakers that are open for business."""
    with _lock:
        return sorted(_workers, key=lambda worker: worker.name)


def waits() -> Mapping[str, tuple[int, float]]:
    """How often each breaker had to be asked or waited for, and how many seconds in all."""
    with _lock:
        return dict(_waits)


@forking.in_child
def _after_fork() -> None:
    global _lock  # noqa: PLW0603 - another thread may have held it at the fork
    _lock = threading.Lock()
    _waits.clear()  # the parent tells of its own
