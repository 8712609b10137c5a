"""Every option, defined once: name, unit, range, default and meaning.

The constructor's keywords, the environment, `breaker set` and the table in docs/options.md
all come from here. What the options do is decided in `lua/`.
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, TypedDict

from breaker.errors import ConfigurationError

# Seconds: the longest span that an option or a Retry-After may have.
LONGEST = 86_400.0
# Seconds: the longest pause that an operator may order, a year.
LONGEST_PAUSE = 31_536_000.0
NAME_LENGTH = 200


class Options(TypedDict, total=False):
    """The keywords that Breaker, AsyncBreaker and configure() take."""

    threshold: int
    cooldown: float
    max_cooldown: float
    recovery: Literal["pace", "probe", "resume"]
    mode: Literal["enforce", "shadow"]
    min_workers: int
    forget_after: float
    probe_lease: float
    quota_pause: float
    idle_ttl: float
    pace_from: float


@dataclass(frozen=True, slots=True)
class Option:
    """One option: how to read it, which values are valid, what it means."""

    name: str
    default: Any
    parse: Callable[[Any], Any]
    allowed: str
    help: str
    is_share: bool = False

    def read(self, given: Any, called: str = "") -> Any:
        """Turn text or a value into a valid value.

        Args:
            given: the text or value.
            called: the name to show in an error, if the user gave it by another than the option's.

        Raises:
            ValueError: naming the value and what is allowed.
        """
        try:
            return self.parse(given)
        except (TypeError, ValueError, OverflowError):
            message = f"{called or self.name} must be {self.allowed}, not {given!r}"
            raise ValueError(message) from None

    @property
    def is_duration(self) -> bool:
        """Whether it is in seconds (milliseconds on the wire)."""
        return isinstance(self.default, float) and not self.is_share

    @property
    def wire_name(self) -> str:
        """Its field in the state hash."""
        return f"{self.name}_ms" if self.is_duration else self.name

    def to_wire(self, value: Any) -> Any:
        """Convert seconds to the wire's milliseconds."""
        return to_ms(value) if self.is_duration else value


def to_ms(seconds: float) -> int:
    """Convert seconds to whole milliseconds, rounded up, so that none becomes 0."""
    return max(1, math.ceil(seconds * 1000 - 1e-6)) if seconds > 0 else 0


def _whole(low: int, high: int) -> tuple[Callable[[Any], int], str]:
    def parse(given: Any) -> int:
        value = int(given) if isinstance(given, str) else given
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError
        return value

    return parse, f"a whole number from {low} to {high:,}"


def _seconds(low: float, high: float) -> tuple[Callable[[Any], float], str]:
    def parse(given: Any) -> float:
        if isinstance(given, bool):
            raise TypeError
        value = float(given)
        if not low <= value <= high:
            raise ValueError
        return value

    return parse, f"seconds from {low:g} to {high:,.0f}"


def _share(given: Any) -> float:
    if isinstance(given, bool):
        raise TypeError
    value = float(given)
    if not 0 <= value <= 1:
        raise ValueError
    return value


def _choice(*choices: str) -> tuple[Callable[[Any], str], str]:
    def parse(given: Any) -> str:
        if given not in choices:
            raise ValueError
        return str(given)

    *others, last = (repr(choice) for choice in choices)
    return parse, f"{', '.join(others)} or {last}"


OPTIONS: Mapping[str, Option] = {
    option.name: option
    for option in (
        Option(
            "threshold",
            5,
            *_whole(1, 1_000_000),
            "rate limit errors in a row, over the whole fleet, that pause the queue",
        ),
        Option(
            "cooldown",
            60.0,
            *_seconds(0.001, LONGEST),
            "seconds that a pause lasts if the upstream sends no Retry-After",
        ),
        Option(
            "max_cooldown",
            3600.0,
            *_seconds(0.001, LONGEST),
            "seconds that the longest pause lasts, whatever the upstream asks for",
        ),
        Option(
            "recovery",
            "pace",
            *_choice("pace", "probe", "resume"),
            "how the queue restarts after a pause: pace (at a rate that adapts), probe (one job first), resume (all at once)",
        ),
        Option(
            "mode",
            "enforce",
            *_choice("enforce", "shadow"),
            "enforce pauses the queue; shadow only counts, logs and alerts",
        ),
        Option(
            "min_workers",
            1,
            *_whole(1, 100),
            "trip only if the errors came from at least this many different workers",
        ),
        Option(
            "forget_after",
            600.0,
            *_seconds(0.001, LONGEST),
            "seconds without an error after which the count starts again at 0",
        ),
        Option(
            "probe_lease",
            30.0,
            *_seconds(0.001, LONGEST),
            "with recovery=probe: seconds that a probe job may take before another worker may try",
        ),
        Option(
            "quota_pause",
            900.0,
            *_seconds(0.001, LONGEST),
            "seconds that an exhausted quota pauses the queue",
        ),
        Option(
            "idle_ttl",
            2_592_000.0,
            *_seconds(60, 31_536_000),
            "seconds without use after which the state is removed from the store",
        ),
        Option(
            "pace_from",
            0.1,
            _share,
            "a share from 0 to 1",
            "this share of rate limit errors (of at least 20 results within 10 s, and at least "
            "`threshold` errors) starts a pace without a pause; 0 turns it off",
            is_share=True,
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Settings:
    """The options of one breaker, valid. `given` names those set in code or environment."""

    threshold: int
    cooldown: float
    max_cooldown: float
    recovery: str
    mode: str
    min_workers: int
    forget_after: float
    probe_lease: float
    quota_pause: float
    idle_ttl: float
    pace_from: float
    given: frozenset[str] = frozenset()

    @classmethod
    def resolve(cls, given: Mapping[str, Any], environ: Mapping[str, str]) -> Self:
        """Merge the options in code over the environment (`BREAKER_THRESHOLD`, ...) over defaults.

        Raises:
            ConfigurationError: with every problem.
        """
        in_code = {name: value for name, value in given.items() if value is not None}
        variables = {name: f"BREAKER_{name.upper()}" for name in OPTIONS if name not in in_code}
        chosen: dict[str, Any] = {
            name: environ[variable]
            for name, variable in variables.items()
            if environ.get(variable, "") != ""
        }
        chosen |= in_code
        problems = list(option_problems(chosen, called=variables))
        if problems:
            raise ConfigurationError(problems)
        values = {name: option.default for name, option in OPTIONS.items()}
        values |= {name: OPTIONS[name].read(value) for name, value in chosen.items()}
        return cls(**values, given=frozenset(chosen))

    def to_wire(self, names: Iterable[str] = OPTIONS) -> str:
        """Encode for the store: JSON, durations in milliseconds, keys in order."""
        wire = {OPTIONS[n].wire_name: OPTIONS[n].to_wire(getattr(self, n)) for n in names}
        return json.dumps(wire, sort_keys=True, separators=(",", ":"))


def option_problems(
    given: Mapping[str, Any],
    current: Mapping[str, Any] | None = None,
    called: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """Yield what is wrong with the options given, one line each.

    Args:
        given: values or text by option name.
        current: the values of the options that are not given (default: the defaults).
        called: the environment's variable for an option that comes from there.
    """
    merged = {name: option.default for name, option in OPTIONS.items()} | dict(current or {})
    names = {name: name for name in OPTIONS} | dict(called or {})
    for name, value in given.items():
        if name not in OPTIONS:
            yield f"unknown option {name!r}; valid options: {', '.join(OPTIONS)}"
            continue
        try:
            merged[name] = OPTIONS[name].read(value, names[name])
        except ValueError as error:
            merged.pop(name)
            yield str(error)
    if merged.get("cooldown", 0) > merged.get("max_cooldown", math.inf):
        yield (
            f"{names['cooldown']} ({merged['cooldown']:g} s) must not be above "
            f"max_cooldown ({merged['max_cooldown']:g} s)"
        )


def name_problems(what: str, name: object) -> Iterator[str]:
    """Yield what is wrong with a breaker's name or a key prefix, one line each."""
    if not isinstance(name, str):
        yield f"{what} must be text, not {name!r}"
    elif not name:
        yield f"{what} must not be empty; it takes 1 to {NAME_LENGTH} characters"
    elif len(name) > NAME_LENGTH:
        yield f"{what} must have 1 to {NAME_LENGTH} characters, not {len(name)}"
    elif any(char in "{}" or not (char.isprintable()) for char in name):
        yield f"{what} must have no braces and no control characters: {name!r}"


def duration_problems(what: str, given: object) -> Iterator[str]:
    """Yield what is wrong with an optional duration in seconds."""
    if given is None:
        return
    is_number = isinstance(given, int | float) and not isinstance(given, bool)
    # `not >=` refuses nan too.
    if not is_number or not given >= 0:  # type: ignore[operator] # is_number says it is one
        yield f"{what} must be None or seconds from 0, not {given!r}"
