"""Turns what happens into notes for people, each told once."""

from collections.abc import Iterator
from datetime import UTC, datetime

from breaker.demo.picture import Mood, Note, Picture
from breaker.model import Transition

MOODS: dict[str, Mood] = {
    "tripped": "bad",
    "extended": "wary",
    "half-open": "wary",
    "closed": "good",
}


class Narrator:
    """The notes of one phase.

    Args:
        started: the phase's start as a timestamp, for the transitions carry the store's time.
    """

    def __init__(self, started: float) -> None:
        self._started = started
        self._told = 0
        self._until = 0.0
        self._has_backlog = False

    def notes(self, picture: Picture) -> Iterator[Note]:
        """What is new."""
        for step in picture.transitions:
            if step.version > self._told:
                self._told = step.version
                yield from self._of(step)
        yield from self._of_backlog(picture)

    def _of(self, step: Transition) -> Iterator[Note]:
        at = step.at.timestamp()
        before, self._until = self._until, at + (step.pause or 0.0)
        # Errors of calls that were on their way at the trip shift its end by fractions of a
        # second: not worth a line.
        if step.event != "extended" or self._until - before >= 1:
            yield Note(at - self._started, describe(step), MOODS.get(step.event, "plain"))

    def _of_backlog(self, picture: Picture) -> Iterator[Note]:
        is_closed = picture.status is not None and picture.status.state == "closed"
        waiting = picture.content.waiting
        if not is_closed:
            self._has_backlog = picture.status is not None
        elif self._has_backlog and waiting <= len(picture.workers):
            self._has_backlog = False
            yield Note(picture.elapsed, "recovered: the backlog is worked off", "good")


def describe(step: Transition) -> str:
    """A transition in one line."""
    by = f" by {step.by}" if step.by else ""
    match step.event:
        case "tripped":
            return f"TRIPPED{by}: {step.reason}. Paused {step.pause:g} s, until {until(step)}"
        case "extended":
            return f"paused for longer: {step.reason}, until {until(step)}"
        case "half-open":
            return "half-open: the pause is over, one job goes first"
        case "closed":
            return f"CLOSED{by}: {step.reason}; all workers are back on it"
        case _:
            return f"{step.event}{by}: {step.reason}"


def until(step: Transition) -> str:
    """When a pause ends, as a clock shows it."""
    end = step.at.timestamp() + (step.pause or 0.0)
    return datetime.fromtimestamp(end, UTC).astimezone().strftime("%H:%M:%S")
