"""`breaker events`: the history of one breaker or of all; with --follow also what is new."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict

import click
from rich.text import Text

from breaker.cli import as_json, durations, show
from breaker.cli.options import command, json_option, name_argument
from breaker.cli.pulse import Edition, Outages, beats, edition
from breaker.cli.session import Session
from breaker.errors import StoreUnavailable
from breaker.model import State, Status, Transition
from breaker.settings import OPTIONS

HEAD = ("TIME", "BREAKER", "EVENT", "STATE", "FOR", "WHY")
LEAST = (12, 12, 10, 22, 6)
KEPT = 1000
INTERVAL = 0.5


@command("events")
@name_argument
@click.option(
    "--limit",
    type=click.IntRange(1, KEPT),
    default=50,
    metavar="NUMBER",
    help="Show only the latest NUMBER events.",
    show_default=True,
)
@click.option("--follow", "-f", is_flag=True, help="Print new events until Ctrl-C.")
@json_option
def events(session: Session, *, name: str | None, limit: int, follow: bool, json: bool) -> None:
    """Show what has happened, the latest last.

    With --json, prints one JSON object per line.

    Example: breaker events content --follow
    """
    names = session.fleet.names() if name is None else [session.status(name).name]
    found = merged(event for one in names for event in session.events(one, limit))
    with suppress(KeyboardInterrupt):
        show.lines(as_lines(found[-limit:], json=json, head=HEAD))
        if follow:
            for new in tail(session, name, found):
                show.lines(as_lines(new, json=json))
        elif not found and not json:
            show.note("no events yet")


def merged(found: Iterable[Transition]) -> list[Transition]:
    """Sort by time."""
    return sorted(found, key=place)


def place(event: Transition) -> tuple[int, ...]:
    """The stream id as numbers: the store's clock in milliseconds, and a counter."""
    return tuple(int(part) for part in event.id.split("-"))


def tail(
    session: Session, name: str | None, known: Iterable[Transition]
) -> Iterator[list[Transition]]:
    """Yield new events, of one breaker or of all."""
    marks = {event.name: place(event) for event in known}
    read: dict[str, Edition] = {}
    outages = Outages()
    for beat in beats(session.fleet, INTERVAL):
        if news := outages.news(beat):
            show.note(news)
        grown = [one for one in meant(beat, name) if read.get(one.name) != edition(one)]
        with suppress(StoreUnavailable):  # then the next beat reads them
            new = merged(
                event
                for one in grown
                for event in since(session, one.name, marks.get(one.name, ()))
            )
            read |= {one.name: edition(one) for one in grown}
            marks |= {event.name: place(event) for event in new}
            yield new


def meant(beat: list[Status] | StoreUnavailable, name: str | None) -> list[Status]:
    """The breakers to follow."""
    if isinstance(beat, StoreUnavailable):
        return []
    return [one for one in beat if name in (None, one.name)]


def since(session: Session, name: str, mark: tuple[int, ...]) -> list[Transition]:
    """Read the events after the mark: ten first, because there are rarely more."""
    new: list[Transition] = []
    for limit in (10, KEPT):
        new = [event for event in session.events(name, limit) if place(event) > mark]
        if len(new) < limit:
            break
    return new


def as_lines(
    found: Sequence[Transition], *, json: bool, head: Sequence[str] = ()
) -> Sequence[Text | str]:
    """One line for each event; for people in columns of a fixed width."""
    if json:
        return [as_json.line(asdict(event)) for event in found]
    return show.columns(map(row, found), head, LEAST, names=1)


def row(event: Transition) -> list[Text | str]:
    """The cells of one event."""
    shadow = " (shadow)" if event.is_shadow else ""
    moved = f"{event.before} -> {event.after}" if event.before != event.after else event.after
    return [
        show.clock(event.at),
        Text(show.clean(event.name), "bold"),
        Text(show.clean(event.event) + shadow, style(event)),
        show.clean(moved),
        "" if event.pause is None else durations.exact(event.pause),
        show.clean(" ".join(reasons(event))),
    ]


def style(event: Transition) -> str:
    """The colour of the state that an event led to; plain if it changed only options."""
    if event.event == "settings":
        return ""
    after = next((state for state in State if state == event.after), None)
    return show.style(after) if after else "bold yellow"  # without one the state was lost


def reasons(event: Transition) -> Iterator[str]:
    """The reason, what it replaced, the options that were set, and the actor."""
    if event.reason:
        yield event.reason
    if event.replaces:
        yield f"(replaces {event.replaces})"
    for name, value in event.settings.items():
        is_shown_as_time = OPTIONS[name].is_duration and value is not None
        shown = durations.exact(value) if is_shown_as_time else value
        yield f"{name}=" if value is None else f"{name}={shown}"
    if event.by:
        yield f"(by {event.by})"
