"""The view for pipes and logs: a line for each note, and a status line every two seconds."""

from typing import Self

from rich.console import Console

from breaker.demo.frameworks.job import CONTENT, OTHER
from breaker.demo.picture import Note, Picture
from breaker.demo.plan import Phase
from breaker.pacing import as_text

# Seconds between two status lines.
EVERY = 2.0


class PlainView:
    """Writes lines."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._next = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        pass

    def begin(self, phase: Phase) -> None:
        """Write the title of the phase."""
        self._next = EVERY
        length = "until Ctrl-C" if phase.is_endless else f"{phase.length:.0f} s"
        self.write(f"\n{phase.title}, {length}")

    def tell(self, note: Note) -> None:
        """Write the note."""
        self.write(f"{note.at:5.1f}  * {note.text}")

    def show(self, picture: Picture) -> None:
        """Write a status line if one is due."""
        if picture.elapsed >= self._next:
            self._next += EVERY
            self.write(f"{picture.elapsed:5.1f}    {status_line(picture)}")

    def write(self, text: str) -> None:
        """Write a line as it is."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


def status_line(picture: Picture) -> str:
    """One moment in one line."""
    second, state = picture.last, CONTENT
    if picture.status:
        state += f" {picture.status.state}"
        if picture.status.resumes_in:
            state += f", {picture.status.resumes_in:.1f} s more"
        if picture.status.pace is not None:
            state += f", paced at most {as_text(picture.status.pace)} jobs/s"
    return (
        f"{state}: {second.answered} answered and {second.limited} limited a second, "
        f"{picture.content.waiting} waiting, {second.workers_on(CONTENT)} of "
        f"{len(picture.workers)} workers on it; other: {second.rate(OTHER)} a second"
    )
