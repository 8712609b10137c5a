"""What a forked child must do before it may use what its parent had made.

In the child no thread of the parent runs, and a lock that one of them held stays held for ever.
"""

import os
import weakref
from collections.abc import Callable
from typing import Protocol

_calls: list[Callable[[], None]] = []


class _Renewed(Protocol):
    def after_fork(self) -> None: ...


_objects: "weakref.WeakSet[_Renewed]" = weakref.WeakSet()


def in_child(call: Callable[[], None]) -> Callable[[], None]:
    """Call this function in every forked child, in the order of registration."""
    _calls.append(call)
    return call


def renewed(one: _Renewed) -> None:
    """Call `after_fork()` of this object in every forked child, as long as it lives."""
    _objects.add(one)


def _after_fork_in_child() -> None:
    for call in _calls:
        call()
    for one in _objects:
        one.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
