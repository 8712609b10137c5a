"""What there is to tell about an entry of the history, in words for a person on call."""

import os
import shlex
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import sha256
from urllib.parse import quote

from breaker.alerts.channel import Alert
from breaker.model import Transition

# Trips of a series that have an alert each. The next trip of the series makes a digest.
TOLD_SINGLY = 4
# Seconds after the end of a pause within which the next trip is one of the same series.
SAME_SERIES = 600.0
# Seconds between two digests of a queue that goes on flapping.
DIGEST_EVERY = 3600.0

_ENDS = ("closed", "resumed", "reset")
_TRIPPED = ("open", "half-open")


def kind_of(transition: Transition) -> str:
    """The kind of alert that an entry may be; empty if it is no alert."""
    if transition.event == "tripped":
        return "quota" if transition.kind == "quota" else "trip"
    if transition.event == "state-lost":
        return "store-lost"
    is_end = transition.event in _ENDS and transition.before in _TRIPPED
    return "recovery" if is_end else ""


def alert_of(transition: Transition) -> Alert | None:
    """The alert about one entry; None if it is no alert."""
    kind = kind_of(transition)
    if not kind:
        return None
    title, text, command = _TEXTS[kind](transition)
    name = transition.name
    return Alert(
        _id_of(transition), kind, name, title, text, command, page_of(name), transition
    )


def digest(alert: Alert, before: Sequence[Transition]) -> Alert | None:
    """What a channel gets that wants one digest instead of a storm.

    Args:
        alert: about a trip.
        before: the history before it, the latest first.

    Returns:
        The alert as it is, a digest in its place, or None: it is part of an earlier digest.
    """
    series = [*_series(alert.transition, before)]
    if len(series) < TOLD_SINGLY:
        return alert
    began, last = series[-1].at, series[0].at
    hour = _hours(alert.transition.at, began)
    if len(series) > TOLD_SINGLY and hour == _hours(last, began):
        return None
    name, number = alert.name, len(series) + 1
    title = f"Queue {name!r} is flapping: {number} trips since {_clock(began)}"
    text = (
        f"{title}. The latest: {alert.text} Each recovery runs into the limit again. A "
        f"digest of further trips follows once an hour. To see them: breaker events {shlex.quote(name)}"
    )
    return replace(alert, kind="flapping", title=title, text=text)


def ends_a_trip(before: Sequence[Transition]) -> bool:
    """Whether what was recovered from is a trip, and not a pace without one.

    Args:
        before: the history before the recovery, the latest first.
    """
    for one in before:
        if one.event == "tripped":
            return not one.is_shadow
        if one.event in _ENDS:
            return False
    return False


def page_of(name: str) -> str:
    """Where a person can see the breaker; empty if there is no such page."""
    base = os.environ.get("BREAKER_PAGE_URL", "").strip()
    return f"{base.rstrip('/')}/breaker?name={quote(name, safe='')}" if base else ""


def _series(trip: Transition, before: Sequence[Transition]) -> list[Transition]:
    """The trips before this one, the latest first, each soon after the one before it."""
    series: list[Transition] = []
    at = trip.at
    for one in before:
        if one.event != "tripped":
            continue
        if (at - one.at).total_seconds() - (one.pause or 0.0) > SAME_SERIES:
            break
        series.append(one)
        at = one.at
    return series


def _hours(at: datetime, since: datetime) -> int:
    return int((at - since).total_seconds() // DIGEST_EVERY)


def _id_of(transition: Transition) -> str:
    """The trip's own random id; for other events one that all processes agree on."""
    if transition.event == "tripped" and transition.trip_id:
        return transition.trip_id
    told = (
        transition.name,
        transition.event,
        transition.incarnation,
        str(transition.version),
    )
    return sha256("\0".join(told).encode()).hexdigest()[:32]


def _clock(at: datetime) -> str:
    return at.strftime("%H:%M:%S UTC")


def _because(trip: Transition) -> str:
    """The errors, since when, and what the upstream said."""
    words = trip.reason
    if trip.evidence:
        words += f", since {_clock(trip.evidence[0].at)}"
    said = [error.retry_after for error in trip.evidence if error.retry_after]
    if said:
        return f"{words}; the upstream said: retry after {max(said):g} s"
    return f"{words}; the upstream gave no Retry-After"


def _trip(trip: Transition) -> tuple[str, str, str]:
    name, pause = trip.name, trip.pause or 0.0
    until = _clock(trip.at + timedelta(seconds=pause))
    resume = f"breaker resume {shlex.quote(name)}"
    if trip.is_shadow:
        title = f"Queue {name!r} would have been paused until {until} ({pause:g} s)"
        text = f"{title}: {_because(trip)}. It runs on, because it is in shadow mode."
        return title, text, ""
    title = f"Queue {name!r} is paused until {until} ({pause:g} s)"
    text = f"{title}: {_because(trip)}. It resumes by itself; to resume it now: {resume}"
    return title, text, resume


def _quota(trip: Transition) -> tuple[str, str, str]:
    if trip.is_shadow:
        return _trip(trip)
    title, _, resume = _trip(trip)
    text = (
        f"{title}: {_because(trip)}. Waiting may not help: look at the account's quota or "
        f"balance. One job then tries again; to resume now: {resume}"
    )
    return title, text, resume


def _recovery(end: Transition) -> tuple[str, str, str]:
    name = end.name
    by = f" (by {end.by})" if end.event != "closed" and end.by else ""
    title = f"Queue {name!r} runs again since {_clock(end.at)}{by}"
    return title, f"{title}: it was {end.before}, and workers dequeue freely.", ""


def _store_lost(lost: Transition) -> tuple[str, str, str]:
    title = f"The store lost the state of queue {lost.name!r}"
    text = (
        f"{title}: {lost.reason}. Counts and pauses start again at nothing; to check the store: "
        "breaker doctor"
    )
    return title, text, "breaker doctor"


_TEXTS = {"trip": _trip, "quota": _quota, "recovery": _recovery, "store-lost": _store_lost}
