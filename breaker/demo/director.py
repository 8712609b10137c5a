"""Runs the phases one after the other, and feeds the view."""

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Protocol

from breaker.demo.narrator import Narrator
from breaker.demo.picture import Note, Outcome, Picture
from breaker.demo.plan import EVERY, Phase, Plan
from breaker.demo.stage import Stage

# Seconds between two looks at the clock, at which due jobs are enqueued.
STEP = 0.05
# Seconds between two pictures.
FRAME = 0.25


class View(Protocol):
    """What shows the demo."""

    def begin(self, phase: Phase) -> None:
        """A phase is being prepared."""

    def tell(self, note: Note) -> None:
        """Show a note."""

    def show(self, picture: Picture) -> None:
        """Show a picture of the present moment."""


def direct(plan: Plan, url: str, view: View) -> list[Outcome]:
    """Run all phases.

    Args:
        plan: the options.
        url: a server with empty databases, without the number of one.
        view: what shows the demo.

    Raises:
        ChildFailedError: a process of the demo failed.
    """
    outcomes = []
    for database, phase in enumerate(plan.phases()):
        view.begin(phase)
        with Stage(plan, phase, f"{url}/{database}") as stage:
            with _end(phase) as is_over:
                _play(plan, stage, view, is_over)
            outcomes.append(stage.finish())
    return outcomes


def _play(plan: Plan, stage: Stage, view: View, is_over: Callable[[float], bool]) -> None:
    narrator = Narrator(time.time() - stage.elapsed)
    shortages = _shortages(stage.phase)
    next_shortage, next_frame = next(shortages), 0.0
    while not is_over(stage.elapsed):
        stage.feed()
        if stage.elapsed >= next_shortage:
            next_shortage = next(shortages)
            stage.spend_ahead()
            view.tell(Note(stage.elapsed, shortage_note(plan), "wary"))
        if stage.elapsed >= next_frame:
            next_frame = max(next_frame + FRAME, stage.elapsed)
            picture = stage.look()
            for note in narrator.notes(picture):
                view.tell(note)
            view.show(picture)
        time.sleep(STEP)


def _shortages(phase: Phase) -> Iterator[float]:
    at = phase.shortage_at
    while True:
        yield at
        at += EVERY if phase.is_endless else phase.length


def shortage_note(plan: Plan) -> str:
    """The note on the upstream's shortage."""
    return (
        f"other clients of the same account now use up the next {plan.shortage:g} s of the allowance: "
        "expect 429s"
    )


@contextlib.contextmanager
def _end(phase: Phase) -> Iterator[Callable[[float], bool]]:
    """Tell whether the phase is over: after its length, or after Ctrl-C if it is endless.

    Ctrl-C then takes effect between two steps, so that no job is half enqueued and all counts
    are right.
    """
    if not phase.is_endless:
        yield lambda elapsed: elapsed >= phase.length
        return
    asked = threading.Event()
    before = signal.signal(signal.SIGINT, lambda *_: asked.set())
    try:
        yield lambda _: asked.is_set()
    finally:
        signal.signal(signal.SIGINT, before)
