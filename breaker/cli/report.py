"""All about one breaker."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Self

from rich.text import Text

from breaker.cli import show
from breaker.cli.durations import exact, rough
from breaker.cli.session import Session
from breaker.model import State, Status, Transition
from breaker.settings import OPTIONS

# Events to look through for the last trip: all that the store keeps.
HISTORY = 1000
# Width of the column of labels, in characters.
LABEL = 14


@dataclass(frozen=True, slots=True)
class Report:
    """Its state, and the latest trip in the history."""

    status: Status
    last_trip: Transition | None

    @classmethod
    def on(cls, session: Session, name: str) -> Self:
        """Read it from the store."""
        status = session.status(name)
        trips = (one for one in session.events(name, HISTORY)[::-1] if one.event == "tripped")
        return cls(status, next(trips, None))

    def plain(self) -> dict[str, Any]:
        """For JSON: the status, and the last trip with its evidence."""
        trip = self.last_trip and asdict(self.last_trip)
        return asdict(self.status) | {"last_trip": trip}

    def lines(self, session: Session) -> Iterator[Text]:
        """For people: the state, then a paragraph each on totals, options, trip and commands."""
        yield show.headline(self.status)
        for part in (self._state(), self._settings(), self._trip(), self._hints(session)):
            paragraph = [
                Text.assemble((f"  {label:<{LABEL}}", "dim"), show.clean(text))
                for label, text in part
            ]
            yield from [Text(), *paragraph] if paragraph else []

    def _state(self) -> Iterator[tuple[str, str]]:
        status = self.status
        if status.state is not State.CLOSED:
            yield "why", status.reason or "-"
            yield "by", status.by or "-"
        if status.order:
            yield "under it", self._under_the_order()
        if status.opened_at:
            ago = datetime.now(UTC) - status.opened_at
            yield "since", f"{show.clock(status.opened_at)} ({rough(ago.total_seconds())} ago)"
        if status.probe_until is not None:
            yield (
                "probe",
                f"one job is probing; the next may start in {rough(status.probe_until)}",
            )
        yield "errors", f"{status.consecutive_errors} of {status.threshold} in a row"
        cuts = f", cuts of the pace {status.cuts}" if status.cuts else ""
        totals = f"trips {status.trips}{cuts}, rate limit errors {status.rate_limit_errors}"
        yield "totals", f"{totals}, paused {rough(status.paused_seconds)}"

    def _under_the_order(self) -> str:
        """What holds again when the operator's order ends."""
        left = self.status.trip_ends_in
        more = "" if left is None else f" for another {rough(left)}"
        return f"{self.status.automaton}{more}"

    def _settings(self) -> Iterator[tuple[str, str]]:
        overrides = self.status.overrides
        for name, option in OPTIONS.items():
            value = getattr(self.status, name)
            shown = exact(value) if option.is_duration else str(value)
            if name in overrides:
                shown = f"{shown:<10} (set by an operator)"
            elif name in self.status.conflict:
                other = self.status.conflict[name]
                said = exact(other) if option.is_duration else other
                shown = f"{shown:<10} ({self.status.conflict_by or 'a worker'} declares {said})"
            yield name, shown

    def _trip(self) -> Iterator[tuple[str, str]]:
        trip = self.last_trip
        if trip is None:
            return
        pause = f", paused for {exact(trip.pause)}" if trip.pause else ""
        shadow = " in shadow mode" if trip.is_shadow else pause
        yield "last trip", f"{show.clock(trip.at)}{shadow}: {trip.reason} (by {trip.by})"
        longest = max((len(error.worker) for error in trip.evidence), default=0)
        for error in trip.evidence:
            said = f"Retry-After {exact(error.retry_after)}" if error.retry_after else ""
            yield (
                "",
                f"{show.clock(error.at)}  {error.worker:<{longest}}  {said:<18}  {error.id}",
            )

    def _hints(self, session: Session) -> Iterator[tuple[str, str]]:
        verb = "enable" if self.status.state is State.DISABLED else "resume"
        if self.status.state is not State.CLOSED:
            yield f"to {verb}", session.command(verb, self.status.name)
        yield "history", session.command("events", self.status.name)
