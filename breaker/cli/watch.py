"""`breaker watch`: a table of all breakers on a terminal, else one line per change."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime

import click
from rich.console import Group
from rich.live import Live
from rich.text import Text

from breaker.cli import as_json, faults, show
from breaker.cli.options import command, json_option
from breaker.cli.pulse import Edition, Outages, beats, news
from breaker.cli.session import Session
from breaker.cli.table import in_order, overview
from breaker.errors import StoreUnavailable
from breaker.model import Status


@command("watch")
@click.option(
    "--interval",
    type=click.FloatRange(min=0.1),
    default=1.0,
    metavar="SECONDS",
    help="Time between two looks at the store.",
    show_default=True,
)
@json_option
def watch(session: Session, *, interval: float, json: bool) -> None:
    """Keep all breakers in view until Ctrl-C.

    If the output is not a terminal, prints one line per change; with --json, the breaker's new
    state as JSON.
    """
    with suppress(KeyboardInterrupt):
        if json:
            print_changes(session, interval, lambda one: as_json.line(asdict(one)))
        elif show.screen().is_terminal:
            keep_table(session, interval)
        else:
            print_changes(session, interval, stamped)


def stamped(status: Status) -> Text:
    """The time now, and a breaker's state."""
    return Text(f"{show.clock(datetime.now(UTC))}  ").append_text(show.sentence(status))


def print_changes(
    session: Session, interval: float, line: Callable[[Status], Text | str]
) -> None:
    """Write each breaker once, then again whenever it has changed."""
    seen: dict[str, Edition | Status] = {}
    outages = Outages()
    for beat in beats(session.fleet, interval):
        if outage := outages.news(beat):
            show.note(outage)
        if isinstance(beat, StoreUnavailable):
            continue
        show.lines(line(one) for one in beat if seen.get(one.name) != news(one))
        seen = {one.name: news(one) for one in beat}


def keep_table(session: Session, interval: float) -> None:
    """Redraw the table at each look; during an outage keep the last one, dimmed."""
    known: list[Text] = []
    console = show.screen()
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
        for beat in beats(session.fleet, interval):
            if isinstance(beat, StoreUnavailable):
                known = [Text(line.plain, "dim") for line in known]
                footer = Text(f"{faults.wrong(beat)}; retrying", "yellow")
            else:
                known = overview(session, in_order(beat))
                footer = Text("Press Ctrl-C to end.", "dim")
            live.update(Group(*_framed(session, known, footer)), refresh=True)


def _framed(session: Session, lines: list[Text], footer: Text) -> Iterator[Text]:
    yield Text(f"{session.fleet.target}  {show.clock(datetime.now(UTC))}", "dim")
    yield Text()
    yield from lines
    yield footer
