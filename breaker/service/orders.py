"""The orders that the page's forms give: what each will do, and how its fields are read."""

import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from breaker.aio import AsyncBreaker
from breaker.errors import ConfigurationError
from breaker.model import Status, Transition
from breaker.settings import OPTIONS
from breaker.transitions import EVENTS

# Characters of a reason and of a name; the history keeps both in each entry.
LONGEST_WORDS = 400

EFFECTS: Mapping[str, str] = {
    "pause": "Every worker stops dequeuing from this queue at once, for the minutes that you "
    "give; without minutes, until an operator resumes it. A trip that lies under it goes on.",
    "resume": "The pause or the recovery ends now: workers dequeue at full speed, and nothing "
    "is counted any more. It ends an operator's pause and a trip, both.",
    "reset": "The breaker starts afresh: closed and enabled, nothing counted, no back-off. "
    "Totals, history and settings stay.",
    "disable": "Rate limit errors are counted and never pause the queue, until an operator "
    "enables the breaker. A pause that is under way ends.",
    "enable": "Rate limit errors pause the queue again once the threshold is reached.",
    "settings": "The values that you give hold for the whole fleet at once, over what the "
    "workers' code declares. An empty field leaves the option to the code.",
    "forget": "The breaker's state, its settings and its history are removed, and a pause ends. "
    "This cannot be undone. A worker that still uses the name makes it anew.",
}

Fields = Mapping[str, str]
_Give = Callable[[AsyncBreaker, Fields, str, str], Awaitable[object]]


def offered(status: Status) -> list[str]:
    """The orders that make sense in this state."""
    is_disabled = status.order == "disabled" or status.state == "disabled"
    useless = {"disable" if is_disabled else "enable"}
    if status.state in {"closed", "disabled"}:
        useless.add("resume")
    return [verb for verb in EFFECTS if verb not in useless]


def version_of(status: Status, events: tuple[Transition, ...]) -> str:
    """What an operator has seen who confirms an order: the state, and the last order before it."""
    orders = (one.id for one in reversed(events) if is_decision(one))
    return f"{status.incarnation}:{status.state}:{next(orders, '')}"


def news_since(version: str, events: tuple[Transition, ...]) -> list[Transition]:
    """The entries after the last order that the operator has seen, at most the last ten."""
    seen = version.rpartition(":")[2]
    ids = [event.id for event in events]
    start = ids.index(seen) + 1 if seen in ids else 0
    return list(events[start:])[-10:]


def is_decision(event: Transition) -> bool:
    """Whether an operator made the entry."""
    known = EVENTS.get(event.event)
    return bool(known and known.is_order) or event.event == "settings"


def problems_of(verb: str, fields: Fields) -> list[str]:
    """What is wrong with the form, one line each."""
    found = []
    if not fields.get("reason", "").strip():
        found.append("Give a reason: it is kept in the history, for the operator after you.")
    found += [
        f"{field.capitalize()}: at most {LONGEST_WORDS} characters."
        for field in ("reason", "by")
        if len(fields.get(field, "")) > LONGEST_WORDS
    ]
    if verb == "pause":
        try:
            _seconds(fields)
        except ConfigurationError as error:
            found += error.problems
    return found


async def give(verb: str, breaker: AsyncBreaker, fields: Fields, by: str) -> None:
    """Give the order.

    Raises:
        ConfigurationError: a field that is wrong.
        StoreError: the store could not be asked.
    """
    await _GIVE[verb](breaker, fields, by, fields.get("reason", "").strip())


def _seconds(fields: Fields) -> float | None:
    given = fields.get("minutes", "").strip()
    if not given:
        return None
    try:
        seconds = float(given) * 60
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= 31_536_000:  # noqa: PLR2004 - a year
        raise ConfigurationError(["Minutes: a number above 0, at most a year, or nothing."])
    return seconds


async def _pause(breaker: AsyncBreaker, fields: Fields, by: str, reason: str) -> None:
    await breaker.pause(_seconds(fields), reason, by)


async def _resume(breaker: AsyncBreaker, _: Fields, by: str, reason: str) -> None:
    await breaker.resume(by, reason)


async def _reset(breaker: AsyncBreaker, _: Fields, by: str, reason: str) -> None:
    await breaker.reset(by, reason)


async def _disable(breaker: AsyncBreaker, _: Fields, by: str, reason: str) -> None:
    await breaker.disable(by, reason)


async def _enable(breaker: AsyncBreaker, _: Fields, by: str, reason: str) -> None:
    await breaker.enable(by, reason)


async def _settings(breaker: AsyncBreaker, fields: Fields, by: str, reason: str) -> None:
    overrides = (await breaker.status()).overrides
    changes: dict[str, Any] = {}
    for name, option in OPTIONS.items():
        given = fields.get(name, "").strip()
        if not given:
            if name in overrides:
                changes[name] = None
            continue
        try:
            value = option.read(given)
        except ValueError as error:
            raise ConfigurationError([str(error)]) from None
        if overrides.get(name) != value:
            changes[name] = value
    if not changes:
        raise ConfigurationError(["Nothing was changed: give an option another value."])
    # The store keeps no reason with a change of settings, so it stands beside the name.
    await breaker.configure(changes, f"{by} ({reason})")


async def _forget(breaker: AsyncBreaker, _fields: Fields, _by: str, _reason: str) -> None:
    await breaker.forget()


_GIVE: Mapping[str, _Give] = {
    "pause": _pause,
    "resume": _resume,
    "reset": _reset,
    "disable": _disable,
    "enable": _enable,
    "settings": _settings,
    "forget": _forget,
}
