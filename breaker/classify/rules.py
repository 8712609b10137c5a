"""What one breaker counts: the user's own rules first, then the classifier."""

import inspect
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, TypedDict, get_args

from breaker.classify.answer import Kind, RateLimit
from breaker.classify.classifier import explain
from breaker.classify.reading import attribute, wait_of
from breaker.errors import ConfigurationError

_LOGGER = logging.getLogger("breaker")

Classify = Callable[[Any], RateLimit | None]
OnOverload = Literal["count", "ignore"]


class RuleOptions(TypedDict, total=False):
    """The keywords of Breaker and AsyncBreaker that say what counts; for this process alone."""

    classify: Classify | None
    count: Sequence[type[BaseException]]
    ignore: Sequence[type[BaseException]]
    on_overload: OnOverload


class Rules:
    """Tells what a breaker has to report about an error or a response.

    Args:
        classify: the user's own rule, asked first. It answers a RateLimit, None (no evidence) or
            NotImplemented (go on with the other rules).
        count: exception classes that count as rate limit errors.
        ignore: exception classes that never count.
        on_overload: whether an overloaded upstream counts.

    Raises:
        ConfigurationError: naming everything that is wrong.
    """

    def __init__(
        self,
        *,
        classify: Classify | None = None,
        count: Sequence[type[BaseException]] = (),
        ignore: Sequence[type[BaseException]] = (),
        on_overload: OnOverload = "count",
    ) -> None:
        problems = [
            *_rule_problems(classify),
            *_class_problems("count", count),
            *_class_problems("ignore", ignore),
            *_policy_problems(on_overload),
        ]
        if problems:
            raise ConfigurationError(problems)
        self._classify = classify
        self._count = _classes(count)
        self._ignore = _classes(ignore)
        self._counts_overload = on_overload == "count"
        self._has_warned = False

    def __call__(self, given: object) -> RateLimit | None:
        """Return what is to be reported, None if it is not a rate limit. Never raises."""
        verdict = explain(given)
        if verdict.refusal:
            return None
        answer = self._asked(given) if self._classify else NotImplemented
        if answer is NotImplemented:
            answer = self._built_in(given, verdict.limit)
        if answer and answer.kind == "overload" and not self._counts_overload:
            return None
        return answer

    def _asked(self, given: object) -> Any:
        """Ask the user's own rule; a rule that fails leaves the error to the built-in ones."""
        try:
            answer: Any = self._classify(given) if self._classify else NotImplemented
        except Exception:  # noqa: BLE001 - a user's function may raise anything
            self._warn("it raised an exception", exc_info=True)
            return NotImplemented
        if answer is None or answer is NotImplemented:
            return answer
        if isinstance(answer, RateLimit) and answer.kind in get_args(Kind):
            return answer
        self._warn(f"it answered {answer!r:.80}, not a RateLimit, None or NotImplemented")
        return NotImplemented

    def _warn(self, what: str, *, exc_info: bool = False) -> None:
        level = logging.DEBUG if self._has_warned else logging.WARNING
        self._has_warned = True
        message = "classify=: %s; the built-in rules decide instead (logged once)"
        _LOGGER.log(level, message, what, exc_info=exc_info)

    def _built_in(self, given: object, limit: RateLimit | None) -> RateLimit | None:
        if isinstance(given, self._ignore):
            return None
        if limit is None and isinstance(given, self._count):
            return RateLimit("rate_limit", wait_of(attribute(given, "retry_after")))
        return limit


def _classes(given: Any) -> tuple[type[BaseException], ...]:
    return (given,) if isinstance(given, type) else tuple(given)


def _rule_problems(classify: Any) -> Iterator[str]:
    if classify is None:
        return
    if not callable(classify):
        yield f"classify must be a function of one error, not {classify!r}"
    elif inspect.iscoroutinefunction(classify):
        yield "classify must be a plain function, not a coroutine function"


def _class_problems(name: str, given: Any) -> Iterator[str]:
    classes = (given,) if isinstance(given, type) else given
    is_valid = isinstance(classes, tuple | list | set | frozenset) and all(
        isinstance(each, type) and issubclass(each, BaseException) for each in classes
    )
    if not is_valid:
        yield f"{name} must be exception classes, as in {name}=(TimeoutError,), not {given!r}"


def _policy_problems(on_overload: Any) -> Iterator[str]:
    if on_overload not in get_args(OnOverload):
        yield f"on_overload must be 'count' or 'ignore', not {on_overload!r}"
