"""The table of breakers: `status` prints it once, `watch` keeps it on the screen."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import click
from rich.text import Text

from breaker.cli import show
from breaker.cli.names import is_known
from breaker.cli.session import Session
from breaker.model import State, Status

HEAD = ("BREAKER", "STATE", "PAUSED", "ERRORS", "TRIPS", "WHY")
NARROW_HEAD = (*HEAD[:3], "")
URGENCY = (State.FORCED_OPEN, State.OPEN, State.HALF_OPEN, State.DISABLED, State.CLOSED)


# What --sort takes, and the key by which it sorts; equal ones follow each other by name.
SORTS: Mapping[str, Callable[[Status], float]] = {
    "state": lambda one: URGENCY.index(one.state),
    "name": lambda _: 0,
    "errors": lambda one: -one.consecutive_errors,
    "trips": lambda one: -one.trips,
    "paused": lambda one: -one.paused_seconds,
}
# Lines of a breaker in a table that does not fit the terminal's width.
NARROW_LINES = 2

sort_option: Callable[[Any], Any] = click.option(
    "--sort",
    type=click.Choice(list(SORTS)),
    default="state",
    show_default=True,
    help="What comes first: the paused, the first by name, or the one with the most errors "
    "in a row, trips or time paused.",
)


def in_order(
    statuses: Iterable[Status], sort: str = "state", pattern: str | None = None
) -> list[Status]:
    """Sort the breakers whose names match the pattern; None: all."""
    meant = [one for one in statuses if is_known(one)]
    if pattern is not None:
        meant = [one for one in meant if one.name == pattern or fnmatchcase(one.name, pattern)]
    return sorted(meant, key=lambda one: (SORTS[sort](one), one.name))


def overview(
    session: Session,
    found: Sequence[Status],
    pattern: str | None = None,
    height: int | None = None,
) -> list[Text]:
    """The table, and how to resume a paused breaker.

    Args:
        session: the store and the prefix.
        found: the breakers.
        pattern: what their names match; None: these are all.
        height: lines there are for the table; the breakers that do not fit are left out, and
            counted. None: any number.
    """
    if not found:
        match = "" if pattern is None else f" match {pattern!r}"
        where = f"{session.fleet.target} under the prefix {session.prefix!r}"
        return [Text(f"No breakers{match or ' yet'} at {where}.")]
    paused = [one for one in found if one.is_paused]
    lines = [*_fitting(found, height), Text()]
    recovering = sum(one.state is State.HALF_OPEN for one in found)
    more = f", {recovering} recovering" if recovering else ""
    lines.append(Text(f"{len(paused)} of {len(found)} paused{more}."))
    if paused:
        first = session.command("resume", paused[0].name)
        lines[-1].append(" To resume one now: ").append(first, "bold")
    return lines


def _fitting(found: Sequence[Status], height: int | None) -> list[Text]:
    near = found if height is None else found[: max(1, height)]
    lines = table(near)
    if height is None or (len(near) == len(found) and len(lines) <= height):
        return lines
    is_narrow = len(lines) > len(near) + 1
    fit = max(1, (height - 2) // (NARROW_LINES if is_narrow else 1))
    more = f"... and {len(found) - fit} more; a pattern shows fewer: 'together:*'"
    return [*table(found[:fit]), Text(more, "dim")]


def table(found: Sequence[Status]) -> list[Text]:
    """One line for each breaker; on a narrow terminal two, the second with what matters less."""
    wide = show.columns(map(row, found), HEAD, names=0)
    if max((line.cell_len for line in wide), default=0) <= show.width():
        return wide
    return show.columns(map(narrow_row, found), NARROW_HEAD, names=0)


def row(status: Status) -> list[Text | str]:
    """The cells of one breaker."""
    return [
        Text(show.clean(status.name), "bold" if status.is_paused else ""),
        show.state(status),
        show.end(status),
        show.errors(status),
        str(status.trips),
        show.why(status),
    ]


def narrow_row(status: Status) -> list[Text | str]:
    """The same, with name, state and end in the first line."""
    name, _, end, errors, trips, why = row(status)
    paced = f"{show.pace(status)}, " if status.pace is not None else ""
    rest = f"{paced}{errors} errors, {trips} trips" + (f": {why}" if why else "")
    return [name, show.bare_state(status), end, Text(rest, "dim")]
