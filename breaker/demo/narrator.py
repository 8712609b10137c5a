"""Turns what happens into notes for people, each told once."""

from collections.abc import Iterator
from datetime import UTC, datetime

from breaker.demo.picture import Mood, Note, Picture
from breaker.model import Status, Transition
from breaker.pacing import as_text

MOODS: dict[str, Mood] = {
    "tripped": "bad",
    "extended": "wary",
    "cut": "wary",
    "half-open": "wary",
    "closed": "good",
}


GOES_ON = {
    "pace": "the workers go on at one pace, faster and faster until a 429 slows it down",
    "cut": "on at the slower pace",
    "probe": "one job goes first",
}
# After so many seconds it shows what the workers do; so many times that is clearly above it, for
# what they did in the last second lags behind a pace that rises.
SETTLED = 2.0
OUTPACED = 3.0


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
        self._is_cut = False
        self._is_outpaced = False

    def notes(self, picture: Picture) -> Iterator[Note]:
        """What is new."""
        for step in picture.transitions:
            if step.version > self._told:
                self._told = step.version
                yield from self._of(step, picture.status)
        yield from self._of_pace(picture)
        yield from self._of_backlog(picture)

    def _of(self, step: Transition, status: Status | None) -> Iterator[Note]:
        at = step.at.timestamp()
        before, self._until = self._until, at + (step.pause or 0.0)
        # Errors of calls that were on their way at the trip shift its end by fractions of a
        # second: not worth a line.
        if step.event != "extended" or self._until - before >= 1:
            recovery = status.recovery if status else ""
            text = describe(step, "cut" if self._is_cut else recovery)
            yield Note(at - self._started, text, MOODS.get(step.event, "plain"))
        self._is_cut = step.event == "cut"

    def _of_pace(self, picture: Picture) -> Iterator[Note]:
        """Tell once why the pace goes on rising: it is beyond what the workers do."""
        pace = picture.status.pace if picture.status else None
        if pace is None:
            self._is_outpaced = False
            return
        since = picture.elapsed - (picture.transitions[-1].at.timestamp() - self._started)
        answered = picture.last.answered
        if not self._is_outpaced and since >= SETTLED and pace > OUTPACED * answered:
            self._is_outpaced = True
            text = (
                f"paced at {as_text(pace)} jobs/s, the workers manage {answered}: no limit any "
                "more. It closes if that lasts"
            )
            yield Note(picture.elapsed, text, "good")

    def _of_backlog(self, picture: Picture) -> Iterator[Note]:
        is_closed = picture.status is not None and picture.status.state == "closed"
        waiting = picture.content.waiting
        if not is_closed:
            self._has_backlog = picture.status is not None
        elif self._has_backlog and waiting <= len(picture.workers):
            self._has_backlog = False
            yield Note(picture.elapsed, "recovered: the backlog is worked off", "good")


def describe(step: Transition, how: str) -> str:
    """A transition in one line; `how` it recovers: by pace, probe, resume, or on after a cut."""
    by = f" by {step.by}" if step.by else ""
    match step.event:
        case "tripped":
            return f"TRIPPED{by}: {step.reason}. Paused {step.pause:g} s, until {until(step)}"
        case "extended":
            return f"paused for longer: {step.reason}, until {until(step)}"
        case "half-open":
            return f"half-open: the pause is over, {GOES_ON.get(how, '')}"
        case "cut":
            pause = f". Paused {step.pause:g} s, until {until(step)}" if step.pause else ""
            return f"a 429{by}: {step.reason}{pause}"
        case "closed":
            return f"CLOSED{by}: {step.reason}; all workers are back on it"
        case _:
            return f"{step.event}{by}: {step.reason}"


def until(step: Transition) -> str:
    """When a pause ends, as a clock shows it."""
    end = step.at.timestamp() + (step.pause or 0.0)
    return datetime.fromtimestamp(end, UTC).astimezone().strftime("%H:%M:%S")
