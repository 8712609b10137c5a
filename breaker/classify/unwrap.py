"""Finds the error that decides: through groups, wrappers and explicit causes (R1).

`__context__` is not followed: an error that happens while a 429 is handled is a bug. The
outermost error that has an HTTP status decides, so a 400 of the second provider counts, and the
429 of the first does not.
"""

from collections.abc import Callable, Iterable, Iterator

from breaker.classify.answer import Kind, Refusal, Verdict
from breaker.classify.reading import attribute
from breaker.errors import BreakerError, BreakerOpen

# Chains are shorter than this; what is longer goes in circles, or is an attack.
DEEPEST = 16
# The same for the members of groups, all in all.
MOST_ERRORS = 200

# Wrappers put what they wrap first.
MOST_ARGUMENTS = 10

_WRAPPERS = ("exc", "cause", "reason", "api_error", "original_exception")
_GRAVEST: tuple[Kind, ...] = ("quota", "rate_limit", "overload")

Judge = Callable[[object], Verdict | None]


def judge_all(error: object, judge: Judge) -> Verdict | None:
    """Return the verdict of the first error in the chain that has one."""
    return _judge(error, judge, set(), DEEPEST)


def _judge(error: object, judge: Judge, seen: set[int], depth: int) -> Verdict | None:
    if not isinstance(error, BaseException):
        return judge(error)
    if depth == 0 or id(error) in seen or len(seen) >= MOST_ERRORS:
        return None
    seen.add(id(error))

    def first(errors: Iterable[BaseException]) -> Verdict | None:
        verdicts = (_judge(each, judge, seen, depth - 1) for each in errors)
        return next(filter(None, verdicts), None)

    if isinstance(error, BaseExceptionGroup):
        return _gravest([_judge(each, judge, seen, depth - 1) for each in error.exceptions])
    return _never(error) or first(_wrapped(error)) or judge(error) or first(_causes(error))


def _never(error: BaseException) -> Verdict | None:
    if not isinstance(error, Exception):
        return Verdict(None, f"{type(error).__name__} ends a process or a task")
    if isinstance(error, BreakerError):
        refusal = Refusal(error.retry_after) if isinstance(error, BreakerOpen) else None
        return Verdict(None, "a breaker's own error: nothing reached the upstream", refusal)
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause = error.__cause__
    # A process pool gives the text of a traceback as the cause.
    if cause is not None and type(cause).__name__ != "_RemoteTraceback":
        yield cause


def _wrapped(error: BaseException) -> Iterator[BaseException]:
    last = attribute(attribute(error, "last_attempt"), "exception")
    if callable(last):
        try:
            last = last()
        except Exception:  # noqa: BLE001 - a future that was cancelled
            last = None
    named = (attribute(error, name) for name in _WRAPPERS)
    candidates = (last, *named, *error.args[:MOST_ARGUMENTS])
    for candidate in candidates:
        if isinstance(candidate, BaseException):
            yield candidate


def _gravest(verdicts: list[Verdict | None]) -> Verdict | None:
    limits = [(each.limit, each.why) for each in verdicts if each and each.limit]
    for kind in _GRAVEST:
        of_kind = [pair for pair in limits if pair[0].kind == kind]
        if of_kind:
            limit, why = max(of_kind, key=lambda pair: pair[0].retry_after or 0.0)
            return Verdict(limit, f"in a group: {why}")
    return None
