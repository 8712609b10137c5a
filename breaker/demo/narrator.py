"""Turns transitions into notes for people, each shown once."""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime

from breaker.demo.picture import Mood, Note, Picture
from breaker.model import Status, Transition
from breaker.pacing import as_text
from breaker.transitions import STATES, level_of

STARTS = {
    "closed": "all workers read the queue again",
    "paced": "workers start jobs at one shared pace",
}
# The mood of a note, by the colour of the state that it leads to.
MOODS: dict[str, Mood] = {"green": "good", "yellow": "wary", "red": "wary"}

GOES_ON = {
    "pace": "workers continue at one shared pace, which rises until the next 429",
    "cut": "workers continue, more slowly",
    "probe": "one job tries first",
}
# Seconds after a change of the pace until the workers' rate shows its effect.
SETTLED = 2.0
# A pace this many times the workers' rate no longer limits them. Less would not be certain: the
# rate of the last second lags behind a rising pace.
OUTPACED = 3.0


class Narrator:
    """The notes of one phase.

    Args:
        started: the phase's start as a timestamp, because transitions carry the store's time.
    """

    def __init__(self, started: float) -> None:
        self._started = started
        self._told = 0
        self._until = 0.0
        self._has_backlog = False
        self._is_cut = False
        self._is_outpaced = False

    def notes(self, picture: Picture) -> Iterator[Note]:
        """Yield the notes on what is new."""
        for step in picture.transitions:
            if step.version > self._told:
                self._told = step.version
                yield from self._of(step, picture.status)
        yield from self._of_pace(picture)
        yield from self._of_backlog(picture)

    def _of(self, step: Transition, status: Status | None) -> Iterator[Note]:
        at = step.at.timestamp()
        before, self._until = self._until, at + (step.pause or 0.0)
        # Errors of calls that were running at the trip move its end by fractions of a second: no
        # note for those.
        if step.event != "extended" or self._until - before >= 1:
            recovery = status.recovery if status else ""
            text = describe(step, "cut" if self._is_cut else recovery)
            yield Note(at - self._started, text, mood(step))
        self._is_cut = step.event == "cut"

    def _of_pace(self, picture: Picture) -> Iterator[Note]:
        """Yield one note when the pace no longer limits the workers."""
        pace = picture.status.pace if picture.status else None
        if pace is None:
            self._is_outpaced = False
            return
        since = picture.elapsed - (picture.transitions[-1].at.timestamp() - self._started)
        answered = picture.last.answered
        if not self._is_outpaced and since >= SETTLED and pace > OUTPACED * answered:
            self._is_outpaced = True
            text = (
                f"the pace allows {as_text(pace)} jobs/s, the workers do {answered}: it no longer "
                "limits them. The breaker closes if that lasts"
            )
            yield Note(picture.elapsed, text, "good")

    def _of_backlog(self, picture: Picture) -> Iterator[Note]:
        is_closed = picture.status is not None and picture.status.state == "closed"
        waiting = picture.content.waiting
        if not is_closed:
            self._has_backlog = picture.status is not None
        elif self._has_backlog and waiting <= len(picture.workers):
            self._has_backlog = False
            yield Note(picture.elapsed, "recovered: the backlog is done", "good")


def mood(step: Transition) -> Mood:
    """How a transition is shown: a warning of the log as bad, others by their state's colour."""
    if level_of(step.event) >= logging.WARNING:
        return "bad"
    colours = {str(state): info.colour for state, info in STATES.items()}
    return MOODS.get(colours.get(step.after, ""), "plain")


def describe(step: Transition, how: str) -> str:
    """A transition in one line; `how` it recovers: pace, probe or resume, or cut after a cut."""
    by = f" by {step.by}" if step.by else ""
    match step.event:
        case "tripped":
            return f"TRIPPED{by}: {step.reason}. Paused {step.pause:.3g} s, until {until(step)}"
        case "extended":
            return f"paused for longer: {step.reason}, until {until(step)}"
        case "half-open":
            return f"half-open: the pause is over, {GOES_ON.get(how, '')}"
        case "cut":
            pause = f". Paused {step.pause:.3g} s, until {until(step)}" if step.pause else ""
            return f"a 429{by}: {step.reason}{pause}"
        case "closed" | "paced":
            return f"{step.event.upper()}{by}: {step.reason}; {STARTS[step.event]}"
        case _:
            return f"{step.event}{by}: {step.reason}"


def until(step: Transition) -> str:
    """The time of day at which a pause ends."""
    end = step.at.timestamp() + (step.pause or 0.0)
    return datetime.fromtimestamp(end, UTC).astimezone().strftime("%H:%M:%S")
