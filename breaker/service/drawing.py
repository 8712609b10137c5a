"""The pictures of the page: a breaker's last 24 hours as a strip, and its history as a timeline."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from markupsafe import Markup

from breaker.model import State, Transition

# Seconds: each cell of the strip shows the gravest state of this time.
CELL = 900
CELLS = 96
# The states, the gravest last.
_RANK = {state: rank for rank, state in enumerate(("closed", "disabled", "half-open", "open"))}
_RANK["forced-open"] = len(_RANK)
_PAUSED = frozenset({State.OPEN, State.FORCED_OPEN})
# The timeline's width in its own units, and the shortest time that it shows.
_WIDTH = 1000
_SHORTEST = timedelta(minutes=10)
_LONGEST = timedelta(hours=24)


class Strip:
    """One breaker's last 24 hours in cells, grown by the entries of its history.

    Attributes:
        mark: the id of the last entry that was added.
    """

    def __init__(self, mark: str) -> None:
        self.mark = mark
        self._cells: dict[int, str] = {}
        self._state = ""
        self._last = 0

    def add(self, event: Transition) -> None:
        """Take in the next entry."""
        cell = int(event.at.timestamp()) // CELL
        self._fill(cell, self._state or event.before)
        self._put(cell, event.after)
        self._state, self.mark = event.after, event.id

    def draw(self, state: str, now: datetime) -> Markup:
        """The picture, as inline SVG."""
        cell = int(now.timestamp()) // CELL
        self._fill(cell, self._state or state)
        self._put(cell, state)
        first = cell - CELLS + 1
        self._cells = {number: one for number, one in self._cells.items() if number >= first}
        shown = [self._cells.get(first + number, "") for number in range(CELLS)]
        paused = sum(one in _PAUSED for one in shown)
        label = f"Last 24 hours: paused in {paused} of {CELLS} quarters of an hour"
        cells = "".join(
            f'<rect class="is-{one}" x="{start}" width="{length}" height="10"/>'
            for start, length, one in _runs(shown)
            if one
        )
        return Markup(  # noqa: S704 - made of numbers and the states of the table
            f'<svg class="strip" viewBox="0 0 {CELLS} 10" preserveAspectRatio="none" role="img" '
            f'aria-label="{label}">{cells}</svg>'
        )

    def _fill(self, cell: int, state: str) -> None:
        if not self._last:
            self._last = cell - CELLS
        for number in range(max(self._last, cell - CELLS), cell + 1):
            self._put(number, state)
        self._last = max(cell, self._last)

    def _put(self, cell: int, state: str) -> None:
        if _RANK.get(state, -1) > _RANK.get(self._cells.get(cell, ""), -1):
            self._cells[cell] = state


def _runs(shown: Sequence[str]) -> Iterator[tuple[int, int, str]]:
    start = 0
    for end in range(1, len(shown) + 1):
        if end == len(shown) or shown[end] != shown[start]:
            yield start, end - start, shown[start]
            start = end


def timeline_start(events: Sequence[Transition], now: datetime) -> datetime:
    """When the timeline begins: 24 hours ago, or at the first entry if that is later."""
    first = events[0].at if events else now
    return min(max(first, now - _LONGEST), now - _SHORTEST)


def timeline(events: Sequence[Transition], state: str, now: datetime) -> Markup:
    """The history as inline SVG: a band of states, and a mark at each trip and cut."""
    start = timeline_start(events, now)
    scale = _WIDTH / (now - start).total_seconds()

    def at(moment: datetime) -> int:
        return min(_WIDTH, max(0, round((moment - start).total_seconds() * scale)))

    band = "".join(
        f'<rect class="is-{one}" x="{at(since)}" y="12" width="{max(1, at(until) - at(since))}" '
        'height="40"/>'
        for since, until, one in _spans(events, state, start, now)
        if one in _RANK
    )
    marks = "".join(
        f'<path class="mark-{event.event}" d="M{at(event.at)} 0V10"/>'
        for event in events
        if event.event in {"tripped", "cut"} and event.at >= start
    )
    trips = sum(event.event == "tripped" and event.at >= start for event in events)
    label = f"Timeline from {start:%H:%M} to {now:%H:%M} UTC, {trips} trips, now {state}"
    return Markup(  # noqa: S704 - made of numbers and the states of the table
        f'<svg class="timeline" viewBox="0 0 {_WIDTH} 52" preserveAspectRatio="none" role="img" '
        f'aria-label="{label}">{band}{marks}</svg>'
    )


def _spans(
    events: Iterable[Transition], state: str, start: datetime, now: datetime
) -> Iterator[tuple[datetime, datetime, str]]:
    since, held = start, ""
    for event in events:
        if event.at > start:
            yield since, event.at, held or event.before
            since = event.at
        held = event.after
    yield since, now, held or state
