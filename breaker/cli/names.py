"""Breakers that are not there, and which one was meant."""

from collections.abc import Sequence
from difflib import get_close_matches

from breaker.errors import BreakerError
from breaker.model import Status

SHOWN = 5


class UnknownBreaker(BreakerError):  # noqa: N818 - says what is, as BreakerOpen does
    """No worker and no operator has used this name yet."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(f"there is no breaker {name!r} yet; {suggestion(name, known)}")


def is_known(status: Status) -> bool:
    """Whether there is such a breaker; a pause alone makes one, also one set by hand."""
    return status.exists or status.is_paused


def suggestion(name: str, known: Sequence[str]) -> str:
    """Name the breakers that may have been meant, or else those there are."""
    known = [one for one in known if one != name]
    if close := get_close_matches(name, known, cutoff=0.6):
        return f"did you mean {' or '.join(map(repr, close))}?"
    if not known:
        return "there is none at all here: check --url and --prefix"
    more = len(known) - SHOWN
    shown = ", ".join(map(repr, known[:SHOWN]))
    return f"there are {shown}" + (f" and {more} more (breaker status)" if more > 0 else "")
