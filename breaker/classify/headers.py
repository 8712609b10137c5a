"""What the upstream still allows: its rate limit headers, on whatever it answered.

Three families are read, and of all windows they tell the one that binds counts: the list of the
IETF drafts (`RateLimit: "default";r=50;t=30`, before that `limit=100, remaining=0, reset=50`),
the separate fields (`RateLimit-Remaining`, `x-ratelimit-remaining-requests`, `x-rate-limit-...`,
`anthropic-ratelimit-requests-...`), and tokens, where there are none left.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from breaker.classify.lists import Item, items, limits
from breaker.classify.reading import attribute, clock, fields, seconds

HOUR = 3_600.0

Unit = Literal["calls", "amount", "other"]


@dataclass(frozen=True, slots=True)
class Allowance:
    """What the upstream says it still allows.

    Attributes:
        remaining: calls that may still be made before the window ends.
        resets_in: seconds until it ends, above 0 and at most a day.
        limit: calls in a whole window, where the upstream tells.
        window: seconds of a whole window, where the upstream tells.
        refill: calls per second that go on being allowed, where the limit is a bucket: then
            `resets_in` says when it is full again. None where it says when a window ends.
    """

    remaining: float
    resets_in: float
    limit: float | None
    window: float | None
    refill: float | None = None

    @property
    def rate(self) -> float:
        """Calls per second that may be made from now on, until `resets_in` is over."""
        return self.refill or max(self.remaining, 1.0) / self.resets_in


def allowance(response_or_headers: object, now: float | None = None) -> Allowance | None:
    """Tell what the upstream still allows. Never raises.

    Args:
        response_or_headers: a response or an exception of any client, a mapping of headers or a
            list of pairs.
        now: epoch seconds, by which instants count if the response has no Date; the local
            clock's if left out.

    Returns:
        The window that allows the fewest calls a second, None if the headers tell of none.
    """
    for headers in _containers(response_or_headers):
        found = fields(headers)
        if any("limit" in name for name in found):
            at = clock(found, now)
            windows = [*_listed(found, at), *_separate(found, at)]
            if windows:
                return min(windows, key=_tightness)
    return None


def _containers(given: object) -> Iterator[object]:
    # Only what is plainly a container is read as one: to iterate a response may read its body,
    # or fetch the next page.
    if type(given) in {list, tuple} or attribute(given, "keys") is not None:
        yield given
    yield attribute(given, "headers")
    for name in ("response", "raw_response"):
        yield attribute(attribute(given, name), "headers")
    yield attribute(given, "litellm_response_headers")


def _tightness(window: Allowance) -> tuple[float, float]:
    return window.refill or window.remaining / window.resets_in, -window.resets_in


def _decided(window: Allowance, unit: Unit) -> Allowance | None:
    if unit == "other":
        # For example a limit on concurrent calls, which frees up when a call ends and not with time.
        return None
    if unit == "amount":
        # Tokens and bytes do not say how many calls they are good for, for calls differ in
        # size. Only when none are left is it certain: no call at all.
        return replace(window, limit=None) if window.remaining == 0 else None
    # What is left of a day says little about the next minute, unless nothing is left.
    long = max(window.resets_in, window.window or 0.0) > HOUR
    return None if long and window.remaining > 0 else window


def _count(text: str | None) -> float | None:
    counts = [number for part in (text or "").split(",") if (number := _number(part)) >= 0]
    # A gateway may have added a second one: only the smaller satisfies both.
    return min(counts, default=None)


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        return math.nan
    return number if math.isfinite(number) else math.nan


def _positive(text: str | None) -> float | None:
    return _count(text) or None


# The lists of the IETF drafts.


@dataclass(frozen=True, slots=True)
class _Policy:
    names: frozenset[str]
    quota: float | None
    window: float | None
    unit: Unit


def _policies(found: dict[str, str]) -> list[_Policy]:
    # Up to draft 07 a policy is named by its quota, and up to 02 it stands beside the limit.
    names = ("ratelimit-policy", "ratelimit-limit", "x-ratelimit-limit")
    return [_policy(item) for name in names for item in items(found.get(name, ""))]


def _policy(item: Item) -> _Policy:
    quota = item.first("q") or ",".join(item.names)
    return _Policy(
        frozenset(item.names),
        _positive(quota),
        _positive(item.first("w")),
        _unit(item.first("qu") or "requests"),
    )


def _unit(name: str) -> Unit:
    if name == "requests":
        return "calls"
    return "other" if name.startswith("concurrent") else "amount"


def _policy_of(policies: list[_Policy], names: set[str], limit: float | None) -> _Policy:
    unknown = _Policy(frozenset(), limit, None, "calls")
    named = (each for each in policies if each.names & names)
    sized = (each for each in policies if each.window and limit and each.quota == limit)
    return next(named, None) or next(sized, unknown)


def _listed(found: dict[str, str], now: float) -> Iterator[Allowance]:
    policies = _policies(found)
    for item in limits(found.get("ratelimit", "")):
        remaining = _count(item.first("r", "remaining"))
        resets_in = seconds(item.first("t", "reset"), now)
        if remaining is None or resets_in is None:
            continue
        policy = _policy_of(policies, item.names, _positive(item.first("limit")))
        window = Allowance(remaining, resets_in, policy.quota, policy.window)
        decided = _decided(window, policy.unit)
        if decided:
            yield decided


# The separate fields. What is limited stands in the name, before or after "remaining".

_REMAINING = re.compile(
    r"(?:x-)?(?:[a-z]+-)?(?P<of>rate-?limit|tokenlimit)-(?P<what>(?:.+-)?remaining(?:-.+)?)"
)
_CALLS = {"remaining", "requests", "request", "req", "project", "endpoint"}
_WINDOWS = {"second": 1.0, "minute": 60.0, "hour": HOUR, "day": 86_400.0, "month": 2_592_000.0}


def _separate(found: dict[str, str], now: float) -> Iterator[Allowance]:
    policies = _policies(found)
    for name in found:
        unit, named_window = _meaning(name)
        window = _around(found, name, now) if unit != "other" else None
        if window is None:
            continue
        length = named_window or _policy_of(policies, set(), window.limit).window
        is_bucket = named_window is None and _BUCKET.match(name) is not None
        if is_bucket and unit == "amount":
            # It fills all the time: even from 0 the next call may be allowed in a moment.
            continue
        refill = _refill(window) if is_bucket else None
        decided = _decided(replace(window, window=length, refill=refill), unit)
        if decided:
            yield decided


# OpenAI and those who copied it, and Anthropic: their resets say when a bucket is full again.
_BUCKET = re.compile(r"x-ratelimit-remaining-|anthropic-ratelimit-")


def _refill(bucket: Allowance) -> float | None:
    if bucket.limit is None or bucket.limit <= bucket.remaining:
        return None
    return (bucket.limit - bucket.remaining) / bucket.resets_in


def _meaning(name: str) -> tuple[Unit, float | None]:
    match = _REMAINING.fullmatch(name)
    if match is None:
        return "other", None
    words = set(match["what"].split("-"))
    window = next((_WINDOWS[word] for word in words if word in _WINDOWS), None)
    if match["of"] == "tokenlimit" or "tokens" in words:
        return "amount", window
    # Images, points, complexity: whether none left of them stops every call is not known.
    return ("calls" if words <= _CALLS | _WINDOWS.keys() else "other"), window


def _around(found: dict[str, str], name: str, now: float) -> Allowance | None:
    remaining = _count(found[name])
    if remaining is None:
        return None
    names = [name.replace("remaining", "reset-after"), name.replace("remaining", "reset")]
    if remaining == 0:
        # x-ratelimit-reset (Together AI) says when calls are allowed again, whichever limit ran out.
        names.append("x-ratelimit-reset")
    waits = (seconds(found.get(each), now) for each in names)
    resets_in = next((wait for wait in waits if wait is not None), None)
    if resets_in is None:
        return None
    limit = re.split("[,;]", found.get(name.replace("remaining", "limit"), ""))[0]
    return Allowance(remaining, resets_in, _positive(limit), None)
