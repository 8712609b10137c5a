"""`breaker watch`: a table of all breakers on a terminal, else one line per change."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial

import click
from rich.console import Group
from rich.live import Live
from rich.text import Text

from breaker.cli import as_json, faults, show
from breaker.cli.options import command, json_option, some_argument
from breaker.cli.pulse import Edition, Outages, beats, news
from breaker.cli.session import Session
from breaker.cli.table import in_order, overview, sort_option
from breaker.errors import StoreUnavailable
from breaker.model import Status

# What `watch` chooses of the breakers, in order.
Choose = Callable[[list[Status]], list[Status]]
# Lines around the table: the head and a blank one above, the summary and the footer below.
AROUND = 5


@command("watch")
@some_argument
@click.option(
    "--interval",
    type=click.FloatRange(min=0.1),
    default=1.0,
    metavar="SECONDS",
    help="Time between two looks at the store.",
    show_default=True,
)
@sort_option
@json_option
def watch(
    session: Session, *, name: str | None, interval: float, sort: str, json: bool
) -> None:
    """Keep all breakers in view until Ctrl-C.

    With a NAME or a PATTERN, only these. Of more than fit the terminal, the first by --sort.
    If the output is not a terminal, prints one line per change; with --json, the breaker's new
    state as JSON.

    Example: breaker watch 'together:*' --sort errors
    """
    choose = partial(in_order, sort=sort, pattern=name)
    with suppress(KeyboardInterrupt):
        if json:
            print_changes(session, interval, choose, lambda one: as_json.line(asdict(one)))
        elif show.screen().is_terminal:
            keep_table(session, interval, choose, name)
        else:
            print_changes(session, interval, choose, stamped)


def stamped(status: Status) -> Text:
    """The time now, and a breaker's state."""
    return Text(f"{show.clock(datetime.now(UTC))}  ").append_text(show.sentence(status))


def print_changes(
    session: Session, interval: float, choose: Choose, line: Callable[[Status], Text | str]
) -> None:
    """Write each breaker once, then again whenever it has changed."""
    seen: dict[str, Edition | Status] = {}
    outages = Outages()
    for beat in beats(session.fleet, interval):
        if outage := outages.news(beat):
            show.note(outage)
        if isinstance(beat, StoreUnavailable):
            continue
        meant = choose(beat)
        show.lines(line(one) for one in meant if seen.get(one.name) != news(one))
        seen = {one.name: news(one) for one in meant}


def keep_table(session: Session, interval: float, choose: Choose, pattern: str | None) -> None:
    """Redraw the table at each look; during an outage keep the last one, dimmed."""
    known: list[Text] = []
    console = show.screen()
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
        for beat in beats(session.fleet, interval):
            if isinstance(beat, StoreUnavailable):
                known = [Text(line.plain, "dim") for line in known]
                footer = Text(f"{faults.wrong(beat)}; retrying", "yellow")
            else:
                known = overview(session, choose(beat), pattern, console.height - AROUND)
                footer = Text("Press Ctrl-C to end.", "dim")
            live.update(Group(*_framed(session, known, footer)), refresh=True)


def _framed(session: Session, lines: list[Text], footer: Text) -> Iterator[Text]:
    yield Text(f"{session.fleet.target}  {show.clock(datetime.now(UTC))}", "dim")
    yield Text()
    yield from lines
    yield footer
