"""Breakers that do not exist, and which one was meant."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from breaker.errors import BreakerError

if TYPE_CHECKING:
    from breaker.model import Status

# Names that a message lists, if none of them is close to the one that was given.
SHOWN = 5


class UnknownBreaker(BreakerError):  # noqa: N818 - says what is, as BreakerOpen does
    """No worker and no operator has used this name yet."""

    def __init__(self, name: str, known: Sequence[str], advice: str = "") -> None:
        more = f"; {advice}" if advice else ""
        super().__init__(f"no breaker is called {name!r}; {suggestion(name, known)}{more}")


class Unconfirmed(BreakerError):  # noqa: N818 - says what is, as BreakerOpen does
    """The order needs a yes, which was not given. Nothing changed."""


def is_known(status: "Status") -> bool:
    """Whether this breaker exists. A pause alone makes one, also a pause key set by hand."""
    return status.exists or status.is_paused


def suggestion(name: str, known: Sequence[str]) -> str:
    """Name the breakers that may have been meant, or else those that exist."""
    from difflib import get_close_matches  # noqa: PLC0415 - only a misspelt name needs it

    known = [one for one in known if one != name]
    if close := get_close_matches(name, known, cutoff=0.6):
        return f"did you mean {' or '.join(map(repr, close))}?"
    if not known:
        return "this store has no breakers under this prefix: check --url and --prefix"
    more = len(known) - SHOWN
    shown = ", ".join(map(repr, known[:SHOWN]))
    return f"there are {shown}" + (f" and {more} more (breaker status)" if more > 0 else "")
