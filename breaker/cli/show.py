"""Text output: a line for one breaker, columns for many, the time of day.

All text from the store passes through `clean`: any worker or operator may have written it, and it
must not drive the reader's terminal.
"""

import os
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from rich.text import Text

from breaker.cli.durations import rough
from breaker.model import State, Status
from breaker.transitions import STATES

if TYPE_CHECKING:
    from rich.console import Console

# Variables by which a user asks for colours without a terminal; rich knows them, too.
FORCED = {"FORCE_COLOR", "TTY_COMPATIBLE"}
# Spaces between two columns, and before a last cell that is on a line of its own.
GAP = 2
INDENT = 4
# Characters of a name that are shown at least.
SHORTEST_NAME = 12


def is_plain() -> bool:
    """Whether the output is no terminal: nothing is coloured or cut, and rich is not needed."""
    return not (sys.stdout.isatty() or FORCED & set(os.environ))


def screen(*, stderr: bool = False) -> "Console":
    """The console to write to. Without a terminal nothing is coloured or cut."""
    from rich.console import Console  # noqa: PLC0415 - takes longer than all else here

    return Console(stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=True)


def width() -> int:
    """The longest line that fits the output, in characters."""
    return sys.maxsize if is_plain() else screen().width


def note(text: str) -> None:
    """Print a remark on stderr, beside the answer."""
    screen(stderr=True).print(clean(text))


def lines(texts: Iterable[Text | str]) -> None:
    """Print an answer."""
    if is_plain():
        for text in texts:
            sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
        return
    console = screen()
    for text in texts:
        console.print(text)


def clean(text: str) -> str:
    """Replace control characters, so that stored text cannot drive the terminal."""
    return "".join(char if char.isprintable() else "�" for char in text)


def clock(moment: datetime) -> str:
    """The local time of day; with the date unless it is today."""
    local = moment.astimezone()
    is_today = local.date() == datetime.now(UTC).astimezone().date()
    return local.strftime("%H:%M:%S %Z" if is_today else "%Y-%m-%d %H:%M:%S %Z")


def end(status: Status) -> str:
    """When a pause ends: the time of day, and how long from now."""
    if not status.is_paused:
        return ""
    if status.resumes_in is None:
        return "until resumed"
    at = datetime.now(UTC) + timedelta(seconds=status.resumes_in)
    return f"until {clock(at)} (in {rough(status.resumes_in)})"


def pace(status: Status) -> str:
    """The fleet's pace; empty unless it recovers at a pace."""
    if status.pace is None:
        return ""
    from breaker.pacing import as_text  # noqa: PLC0415 - brings all rules of the pace

    return f"paced at most {as_text(status.pace)} jobs/s"


def errors(status: Status) -> str:
    """The count of errors, and the threshold."""
    return f"{status.consecutive_errors}/{status.threshold}"


def why(status: Status) -> str:
    """Why it is in its state, and who brought it there; empty while it is closed."""
    if status.state is State.CLOSED:
        return ""
    by = f"by {status.by}" if status.by else ""
    return clean(f"{status.reason} ({by})" if status.reason and by else status.reason or by)


def style(state: State) -> str:
    """The colour of a state; bold if workers are paused in it."""
    info = STATES[state]
    return f"bold {info.colour}" if info.is_paused else info.colour


def state(status: Status) -> Text:
    """The state, coloured; with the pace if it recovers at a pace."""
    pace_ = f", {pace(status)}" if status.pace is not None else ""
    return bare_state(status).append(pace_)


def bare_state(status: Status) -> Text:
    """The state, coloured, without the pace."""
    shadow = " (shadow)" if status.mode == "shadow" else ""
    return Text(f"{status.state}{shadow}", style(status.state))


def headline(status: Status) -> Text:
    """Name, state, and the end of the pause."""
    line = Text.assemble((clean(status.name), "bold"), "  ", state(status))
    return line.append(f" {end(status)}") if status.is_paused else line


def sentence(status: Status) -> Text:
    """One breaker in one line."""
    line = headline(status).append(f", {errors(status)} errors")
    reason = why(status)
    return line.append(f": {reason}") if reason else line


def shortened(text: Text, size: int) -> Text:
    """A name without its middle, since names differ at their ends; in at most `size` characters."""
    if text.cell_len <= size:
        return text
    kept = size - 1
    front = text[: kept - kept // 2].copy()
    return front.append("…").append_text(text[len(text) - kept // 2 :])


def columns(
    rows: Iterable[Sequence[Text | str]],
    head: Sequence[str] = (),
    least: Sequence[int] = (),
    *,
    names: int | None = None,
) -> list[Text]:
    """Align cells in columns. No cell is cut but a long name.

    The last cell of a row may be long: if the lines do not fit the terminal, each last cell gets a
    line of its own below its row. If they still do not fit, names are shortened in the middle.

    Args:
        rows: the cells.
        head: the words above them.
        least: the least width of each column, so that lines printed later are aligned too.
        names: the column that holds names.
    """
    cells = [[_text(cell) for cell in row] for row in rows]
    above = [[Text(word, "dim") for word in head]] if cells and head else []
    sizes = [
        max(cell.cell_len for cell in column) for column in zip(*above, *cells, strict=True)
    ]
    padded = list(map(max, sizes, [*least, *[0] * len(sizes)]))
    if sum(padded) + GAP * (len(padded) - 1) <= width():
        return [_joined(row, padded) for row in (*above, *cells)]
    if names is not None:
        over = sum(padded[:-1]) + GAP * (len(padded) - 2) - width()
        padded[names] = max(SHORTEST_NAME, padded[names] - max(0, over))
        for row in cells:
            row[names] = shortened(row[names], padded[names])
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
