"""The table of all breakers: `status` prints it once, `watch` keeps it on the screen."""

from collections.abc import Iterable, Sequence

from rich.text import Text

from breaker.cli import show
from breaker.cli.names import is_known
from breaker.cli.session import Session
from breaker.model import State, Status

HEAD = ("BREAKER", "STATE", "PAUSED", "ERRORS", "TRIPS", "WHY")
NARROW_HEAD = (*HEAD[:3], "")
URGENCY = (State.FORCED_OPEN, State.OPEN, State.HALF_OPEN, State.DISABLED, State.CLOSED)


def in_order(statuses: Iterable[Status]) -> list[Status]:
    """Sort the paused breakers first, then the recovering ones, then the rest."""
    return sorted(
        filter(is_known, statuses), key=lambda one: (URGENCY.index(one.state), one.name)
    )


def overview(session: Session, found: Sequence[Status]) -> list[Text]:
    """The table, and how to resume a paused breaker."""
    if not found:
        where = f"{session.fleet.target} under the prefix {session.prefix!r}"
        return [Text(f"No breakers yet at {where}.")]
    paused = [one for one in found if one.is_paused]
    lines = [*table(found), Text()]
    recovering = sum(one.state is State.HALF_OPEN for one in found)
    more = f", {recovering} recovering" if recovering else ""
    lines.append(Text(f"{len(paused)} of {len(found)} paused{more}."))
    if paused:
        first = session.command("resume", paused[0].name)
        lines[-1].append(" To resume one now: ").append(first, "bold")
    return lines


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
