"""Wait for a condition, with a deadline, and say what was seen when it does not come."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(look: Callable[[], T], deadline: float = 20.0) -> T:
    """Return the first true thing that `look` sees."""
    end = time.monotonic() + deadline
    while not (seen := look()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline} s; last seen: {seen!r}")
        time.sleep(0.01)
    return seen
