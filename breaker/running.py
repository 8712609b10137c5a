"""The permits whose jobs run here, so that what belongs to one job counts once.

An HTTP hook's attempt, and a guard inside of a guard of the same breaker, share the grant of the
permit around them; what they have reported, it does not report again.
"""

# ruff: noqa: SLF001 - a permit and its place are one thing in two modules

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

# What was reported from within a permit's job, the gravest of it.
NOTHING, SUCCESS, LIMITED = 0, 1, 2

# The breakers that have HTTP hooks in this process. While there are none, a guard that needs not
# ask the store takes no place among the running: it would cost half as much again.
HOOKED: set[Hashable] = set()


class Place:
    """A permit's place among those that run here.

    Attributes:
        permit: the permit.
        outer: the place around it.
        is_inner: whether its grant is that of a permit around it.
        reported: the gravest that was reported from within.
    """

    __slots__ = ("is_inner", "outer", "permit", "reported")

    def __init__(self, permit: Any, outer: "Place | None", *, is_inner: bool = False) -> None:
        self.permit = permit
        self.outer = outer
        self.is_inner = is_inner
        self.reported = NOTHING

    @property
    def grant(self) -> Any:
        """The grant of the permit."""
        return self.permit._grant

    def tell_outer(self, reported: int) -> None:
        """Tell the permits of the same breaker around this one what was reported."""
        for place in _around(self.outer, self.permit._breaker.identity):
            place.reported = max(place.reported, reported)


_RUNNING: ContextVar[Place | None] = ContextVar("breaker_running", default=None)


def find(identity: object) -> Place | None:
    """Return the innermost permit of a breaker whose job runs here, or None."""
    return next(_around(_RUNNING.get(), identity), None)


def begin(permit: Any, *, is_inner: bool = False) -> Place:
    """Make a permit the one whose job runs here."""
    place = Place(permit, _RUNNING.get(), is_inner=is_inner)
    _RUNNING.set(place)
    return place


def end(place: Place) -> None:
    """End what `begin` began."""
    # Not by a token: a generator may be closed in another context than it was begun in.
    _RUNNING.set(place.outer)


@contextmanager
def as_running(permit: Any) -> Iterator[Place]:
    """Make a permit the one whose job runs here, for a block."""
    place = begin(permit)
    try:
        yield place
    finally:
        end(place)


def _around(place: Place | None, identity: object) -> Iterator[Place]:
    while place is not None:
        if place.permit._is_open and place.permit._breaker.identity == identity:
            yield place
        place = place.outer
