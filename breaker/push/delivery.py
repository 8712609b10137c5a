"""Hand what happened to code that may be slow or fail: to subscribers, to the log, to Sentry.

It never runs on the thread that feeds the views, and one slow function delays no other.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

# What waits for a slow function; then the oldest item is dropped.
LONGEST_QUEUE = 1000
# Seconds without an item after which the thread ends. The next item starts another one.
LINGER = 10.0

_LOGGER = logging.getLogger("breaker")

T = TypeVar("T")


class Delivery(Generic[T]):
    """Calls a function with each item, in order, on a thread of its own.

    Args:
        function: it is called with one item.
        name: what it is called in the log if it fails.
    """

    def __init__(self, function: Callable[[T], object], name: str) -> None:
        self._function = function
        self._name = name
        self._items: deque[T] = deque(maxlen=LONGEST_QUEUE)
        self._changed = threading.Condition()
        self._is_running = self._is_stopped = False

    def put(self, item: T) -> None:
        """Have the function called; returns at once."""
        with self._changed:
            self._items.append(item)
            if self._is_running:
                self._changed.notify()
                return
            self._is_running = True
        threading.Thread(target=self._run, name="breaker-tell", daemon=True).start()

    def stop(self) -> None:
        """Drop what is left, and call the function no more."""
        with self._changed:
            self._is_stopped = True
            self._items.clear()
            self._changed.notify()

    def _run(self) -> None:
        while (item := self._next()) is not None:
            try:
                self._function(item[0])
            except BaseException:  # SystemExit too: it would end this thread, and no process
                _LOGGER.exception("%s failed", self._name)

    def _next(self) -> tuple[T] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._is_stopped, timeout=LINGER)
            if self._items and not self._is_stopped:
                return (self._items.popleft(),)
            self._is_running = False
            return None
