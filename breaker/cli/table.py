"""The table of all breakers: `status` prints it once, `watch` keeps it on the screen."""

from collections.abc import Iterable, Sequence

from rich.text import Text

from breaker.cli import show
from breaker.cli.names import is_known
from breaker.cli.session import Session
from breaker.model import State, Status

HEAD = ("BREAKER", "STATE", "PAUSED", "ERRORS", "TRIPS", "WHY")
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
    """One line for each breaker."""
    return show.columns(map(row, found), HEAD)


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
