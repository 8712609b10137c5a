"""The live view: one screen, drawn again four times a second."""

import textwrap
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.layout import Layout
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from breaker.demo.frameworks.job import CONTENT, OTHER
from breaker.demo.ledger import RETRIES
from breaker.demo.picture import Mood, Note, Picture, Second
from breaker.demo.plan import Phase, Plan
from breaker.model import State, Status
from breaker.pacing import as_text
from breaker.transitions import STATES

BARS = "▁▂▃▄▅▆▇█"
STYLES: dict[Mood, str] = {"plain": "", "good": "green", "bad": "bold red", "wary": "yellow"}
SIGNS: dict[State, str] = {
    State.CLOSED: "●",
    State.OPEN: "■",
    State.HALF_OPEN: "◐",
    State.FORCED_OPEN: "■",
    State.DISABLED: "○",
}
TROUBLED = (State.OPEN, State.HALF_OPEN, State.FORCED_OPEN)
# The largest threshold for which the errors in a row are drawn as dots.
DOTS = 10
# Columns of the panel of workers.
WORKERS_WIDTH = 34


class LiveView:
    """Draws the screen; a context manager, which restores the terminal at the end."""

    def __init__(self, plan: Plan, console: Console) -> None:
        self._plan = plan
        self._console = console
        self._live = Live(console=console, screen=True, auto_refresh=False)
        self._notes: list[Note] = []
        self._told: list[Text] = []
        self._course: dict[Phase, tuple[Second, ...]] = {}

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._live.stop()
        # The screen is gone; print the notes, so that they stay.
        for line in self._told:
            self._console.print(line)

    def begin(self, phase: Phase) -> None:
        """Show which phase is being started."""
        self._notes = []
        self._told.append(Text(f"\n{phase.title}", "bold"))
        self._course[phase] = ()
        starting = Text(f"Starting {self._plan.workers} workers {phase.title} ...", "dim")
        self._live.update(starting, refresh=True)

    def tell(self, note: Note) -> None:
        """Keep the note for the next picture."""
        self._notes.append(note)
        self._told.append(_line(f"{note.at:5.1f}", note.text, note.mood))

    def show(self, picture: Picture) -> None:
        """Draw the picture."""
        self._course[picture.phase] = picture.seconds
        self._live.update(self._screen(picture), refresh=True)

    def _screen(self, picture: Picture) -> RenderableType:
        width, height = self._console.size
        queues, calls, bottom = Layout(size=6), Layout(size=6), Layout()
        queues.split_row(
            Layout(_panel(_content(picture, self._plan), "queue content", _colour(picture))),
            Layout(_panel(_other(picture), "queue other", "green"), size=WORKERS_WIDTH),
        )
        calls.update(_panel(self._calls(width - 4), "calls to the upstream, per second"))
        rows = max(1, height - 16)
        bottom.split_row(
            Layout(_panel(_workers(picture, rows), "workers"), size=WORKERS_WIDTH),
            Layout(_panel(self._story(width - WORKERS_WIDTH - 4, rows), "what happened")),
        )
        screen = Layout()
        screen.split_column(Layout(self._header(picture), size=2), queues, calls, bottom)
        return screen

    def _header(self, picture: Picture) -> RenderableType:
        phases = self._plan.phases()
        number = phases.index(picture.phase) + 1
        end = (
            "Ctrl-C ends it" if picture.phase.is_endless else f"of {picture.phase.length:.0f} s"
        )
        grid = Table.grid(expand=True)
        grid.add_column()
        grid.add_column(justify="right")
        grid.add_row(
            Text.assemble(
                (" breaker demo ", "bold reverse"),
                f"  {number} of {len(phases)}: the fleet ",
                (picture.phase.title, "bold"),
            ),
            Text(f"{picture.elapsed:.0f} {end} ", "dim"),
        )
        facts = (
            f" {self._plan.workers} RQ workers, {self._plan.demand:g} jobs of content a second, "
            f"{self._plan.rate:g} calls a second allowed"
        )
        grid.add_row(Text(facts, "dim", no_wrap=True, overflow="ellipsis"), "")
        return grid

    def _calls(self, width: int) -> RenderableType:
        top = max((max(s.answered, s.limited) for s in self._seconds()), default=1)
        grid = Table.grid(padding=(0, 1))
        for phase, seconds in self._course.items():
            label = "with it" if phase.has_breaker else "without"
            for kind, style in (("answered", "green"), ("429", "red")):
                counts = [s.answered if kind == "answered" else s.limited for s in seconds]
                bars = Text(sparkline(counts, width - 26, top), style)
                total = Text(f"{sum(counts):,}".rjust(6), style)
                grid.add_row(
                    Text(label.ljust(7), "dim"), Text(kind.ljust(8), style), total, bars
                )
                label = ""
        return grid

    def _seconds(self) -> Iterable[Second]:
        return (second for seconds in self._course.values() for second in seconds)

    def _story(self, width: int, rows: int) -> RenderableType:
        lines: list[Text] = []
        for note in self._notes:
            wrapped = textwrap.wrap(note.text, max(20, width - 7)) or [""]
            for number, line in enumerate(wrapped):
                at = f"{note.at:5.1f}" if number == 0 else " " * 5
                lines.append(_line(at, line, note.mood))
        return Group(*lines[-rows:])


def _line(at: str, text: str, mood: Mood) -> Text:
    return Text.assemble((f"{at}  ", "dim"), (text, STYLES[mood]))


def sparkline(counts: Sequence[int], width: int, top: int) -> str:
    """Draw counts as bars. If they do not fit the width, a bar is the mean of several seconds."""
    each = max(1, -(-len(counts) // max(1, width)))
    groups = [counts[at : at + each] for at in range(0, len(counts), each)]
    means = [sum(group) / len(group) for group in groups]
    return "".join(_bar(mean, top) for mean in means)


def _bar(value: float, top: int) -> str:
    if value <= 0:
        return " "
    return BARS[min(len(BARS) - 1, int(value / max(1, top) * len(BARS)))]


def _panel(content: RenderableType, title: str, style: str = "dim") -> Panel:
    return Panel(content, title=title, title_align="left", border_style=style, padding=(0, 1))


def _colour(picture: Picture) -> str:
    return _style(picture.status.state) if picture.status else "dim"


def _style(state: State) -> str:
    info = STATES[state]
    return f"bold {info.colour}" if info.is_paused else info.colour


def _content(picture: Picture, plan: Plan) -> RenderableType:
    tally = picture.content
    counts = Text(f"{tally.waiting:,} waiting, {tally.done:,} done")
    if tally.failed:
        counts.append(f", {tally.failed:,} failed", "red")
    lines = _without_breaker() if picture.status is None else _state(picture.status, plan)
    return Group(*lines, counts)


def _without_breaker() -> list[Text]:
    return [
        Text("no breaker", "bold"),
        Text("a job that gets a 429 is retried at once;"),
        Text(f"after {RETRIES} retries it fails"),
    ]


def _state(status: Status, plan: Plan) -> list[Text]:
    style = _style(status.state)
    first = Text.assemble((f"{SIGNS[status.state]} {status.state.upper()}", style), "  ")
    if status.resumes_in is not None:
        until = datetime.now(UTC).astimezone() + timedelta(seconds=status.resumes_in)
        first.append(f"paused until {until:%H:%M:%S}, {status.resumes_in:.1f} s more")
    elif status.pace is not None:
        first.append(f"paced at most {as_text(status.pace)} jobs/s")
    elif status.state is State.HALF_OPEN:
        first.append("one job tries first")
    elif status.state is State.CLOSED:
        first.append("all workers read this queue")
    why = f"by {status.by}: {status.reason}" if status.state in TROUBLED else ""
    return [first, _limits(status, plan), Text(why, style, no_wrap=True, overflow="ellipsis")]


def _limits(status: Status, plan: Plan) -> Text:
    """How near the fleet is to a trip; paced, it has no such count."""
    if status.pace is not None:
        return Text("for all workers together; a 429 lowers it", no_wrap=True)
    count = status.consecutive_errors
    dots = "●" * count + "○" * (plan.threshold - count) if plan.threshold <= DOTS else ""
    return Text.assemble("429s in a row: ", (dots, "red"), f" {count} of {plan.threshold}")


def _other(picture: Picture) -> RenderableType:
    rate = picture.last.rate(OTHER)
    tally = picture.other
    return Group(
        Text("needs no upstream, runs on", "green"),
        Text(f"{rate} jobs in the last second"),
        Text(),
        Text(f"{tally.waiting:,} waiting, {tally.done:,} done"),
    )


def _workers(picture: Picture, rows: int) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    names = picture.workers if len(picture.workers) <= rows else picture.workers[: rows - 1]
    for name in names:
        content = picture.last.begun.get((name, CONTENT), 0)
        other = picture.last.begun.get((name, OTHER), 0)
        grid.add_row(
            Text(name, "bold"),
            _share(CONTENT, content, "green"),
            _share(OTHER, other, "cyan"),
        )
    hidden = len(picture.workers) - len(names)
    return Group(grid, Text(f"and {hidden} more", "dim")) if hidden else grid


def _share(queue: str, count: int, style: str) -> Text:
    return Text(f"{queue} {count:2d}/s", style) if count else Text(f"{queue}  idle", "dim")
