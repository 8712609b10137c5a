"""How things look: a line for one breaker, columns for many, the time of day.

All text that comes from the store passes through `clean`: a reason is written by anybody, and
must not steer the terminal of whoever reads it.
"""

import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from rich.console import Console
from rich.text import Text

from breaker.cli.durations import rough
from breaker.model import State, Status
from breaker.pacing import as_text

STYLES = {
    State.CLOSED: "green",
    State.OPEN: "bold red",
    State.HALF_OPEN: "yellow",
    State.FORCED_OPEN: "bold red",
    State.DISABLED: "magenta",
}
GAP = 2
INDENT = 4


def screen(*, stderr: bool = False) -> Console:
    """Where to write: nothing is coloured or cut where no terminal is."""
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=True)


def width() -> int:
    """How long a line may get."""
    console = screen()
    return console.width if console.is_terminal else sys.maxsize


def note(text: str) -> None:
    """Tell something beside the answer, on stderr."""
    screen(stderr=True).print(clean(text))


def lines(texts: Iterable[Text | str]) -> None:
    """Write an answer."""
    console = screen()
    for text in texts:
        console.print(text)


def clean(text: str) -> str:
    """Text that does nothing but stand there."""
    return "".join(char if char.isprintable() else "�" for char in text)


def clock(moment: datetime) -> str:
    """The time of day where this runs; with the date if it is another day's."""
    local = moment.astimezone()
    is_today = local.date() == datetime.now(UTC).astimezone().date()
    return local.strftime("%H:%M:%S %Z" if is_today else "%Y-%m-%d %H:%M:%S %Z")


def end(status: Status) -> str:
    """Until when it is paused: the time of day, and how long that is from now."""
    if not status.is_paused:
        return ""
    if status.resumes_in is None:
        return "until resumed"
    at = datetime.now(UTC) + timedelta(seconds=status.resumes_in)
    return f"until {clock(at)} (in {rough(status.resumes_in)})"


def pace(status: Status) -> str:
    """How fast the whole fleet may go, if it recovers at a pace."""
    return "" if status.pace is None else f"paced at most {as_text(status.pace)} jobs/s"


def errors(status: Status) -> str:
    """How far the count has come."""
    return f"{status.consecutive_errors}/{status.threshold}"


def why(status: Status) -> str:
    """What holds it in its state, and who did that; nothing while it is closed."""
    if status.state is State.CLOSED:
        return ""
    by = f"by {status.by}" if status.by else ""
    return clean(f"{status.reason} ({by})" if status.reason and by else status.reason or by)


def state(status: Status) -> Text:
    """Its state, coloured; with the pace if it recovers at one."""
    shadow = " (shadow)" if status.mode == "shadow" else ""
    pace_ = f", {pace(status)}" if status.pace is not None else ""
    return Text(f"{status.state}{shadow}{pace_}", STYLES[status.state])


def headline(status: Status) -> Text:
    """Its name, its state, and until when if it is paused."""
    line = Text.assemble((clean(status.name), "bold"), "  ", state(status))
    return line.append(f" {end(status)}") if status.is_paused else line


def sentence(status: Status) -> Text:
    """All that matters of one breaker, in one line."""
    line = headline(status).append(f", {errors(status)} errors")
    reason = why(status)
    return line.append(f": {reason}") if reason else line


def columns(
    rows: Iterable[Sequence[Text | str]], head: Sequence[str] = (), least: Sequence[int] = ()
) -> list[Text]:
    """Lines in columns, never cut.

    The last cell of a row may be long: where the lines would not fit the terminal, all of those
    stand below their rows instead.

    Args:
        rows: the cells.
        head: the words above them.
        least: how wide each column is at least, so that lines written later stay below.
    """
    cells = [[_text(cell) for cell in row] for row in rows]
    above = [[Text(word, "dim") for word in head]] if cells and head else []
    sizes = [
        max(cell.cell_len for cell in column) for column in zip(*above, *cells, strict=True)
    ]
    padded = list(map(max, sizes, [*least, *[0] * len(sizes)]))
    if sum(padded) + GAP * (len(padded) - 1) <= width():
        return [_joined(row, padded) for row in (*above, *cells)]
    lines = [_joined(row[:-1], padded) for row in above]
    for row in cells:
        lines.append(_joined(row[:-1], padded))
        if row[-1]:
            lines.append(Text(" " * INDENT).append_text(row[-1]))
    return lines


def _joined(row: Sequence[Text], sizes: Sequence[int]) -> Text:
    line = Text()
    for cell, size in zip(row, sizes, strict=False):
        line.append_text(cell).append(" " * (size - cell.cell_len + GAP))
    line.rstrip()
    return line


def _text(cell: Text | str) -> Text:
    return cell if isinstance(cell, Text) else Text(cell)
