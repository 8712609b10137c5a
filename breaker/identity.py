"""One failure is one error, however often its exception passes a guard.

The id under which an error was reported stays with the exception object, by breaker: raised again,
or on its way through a second guard, it is reported under the same id, and counts once.
"""

from collections.abc import Iterator

_MARK = "__breaker_error_ids__"


def known_id(error: BaseException, breaker: str) -> str | None:
    """The id under which this failure was reported to a breaker; None if it was not."""
    for one in _causes(error):
        found: str | None = one.__dict__.get(_MARK, {}).get(breaker)
        if found:
            return found
    return None


def remember(error: BaseException, breaker: str, error_id: str) -> None:
    """This failure is reported under this id."""
    for one in _causes(error):
        one.__dict__.setdefault(_MARK, {})[breaker] = error_id


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and those that it was raised from.

    Not those during whose handling it was raised: an attempt that fails anew is another failure.
    """
    one: BaseException | None = error
    seen: set[int] = set()
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__
