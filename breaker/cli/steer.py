"""The operator's commands: pause, resume, reset, disable, enable."""

from collections.abc import Callable, Sequence
from dataclasses import asdict

import click
from rich.text import Text

from breaker.cli import as_json, show
from breaker.cli.durations import exact
from breaker.cli.names import is_known, suggestion
from breaker.cli.options import command, json_option, name_argument, parse_duration
from breaker.cli.pulse import edition
from breaker.cli.session import Session, operator
from breaker.errors import ConfigurationError
from breaker.model import Status
from breaker.settings import LONGEST_PAUSE, OPTIONS
from breaker.sync import Breaker


def parse_pause(text: str) -> float:
    """Read --for."""
    seconds = parse_duration(text)
    if not 0 < seconds <= LONGEST_PAUSE:
        message = f"a pause lasts more than 0s and at most {exact(LONGEST_PAUSE)}, not {text!r}"
        raise click.BadParameter(message)
    return seconds


all_option = click.option(
    "--all", "every", is_flag=True, help="Every breaker under this prefix."
)
reason_option = click.option(
    "--reason", metavar="TEXT", default="", help="Reason, shown in status and in the history."
)
by_option = click.option(
    "--by",
    metavar="TEXT",
    default="",
    help="Who does this, for the history. Default: user@host.",
)


@command("pause")
@name_argument
@click.option(
    "--for",
    "length",
    type=parse_pause,
    metavar="DURATION",
    help="How long: 90 or 90s, 5m, 1h30m. Default: until resumed.",
)
@reason_option
@by_option
@all_option
@json_option
def pause(
    session: Session,
    *,
    name: str | None,
    length: float | None,
    reason: str,
    by: str,
    every: bool,
    json: bool,
) -> None:
    """Pause a queue, for a given time or until it is resumed."""
    targets = aim(session, name, every=every, may_be_new=True)
    who = by or operator()
    carry_out(
        session, targets, lambda it: it.pause(length, reason, who), json=json, every=every
    )


def ordering(
    verb: str, order: Callable[[Breaker, str, str], Status], purpose: str
) -> click.Command:
    """Make a command for an order that takes no more than a name and a reason."""

    @command(verb)
    @name_argument
    @reason_option
    @by_option
    @all_option
    @json_option
    def ordered(
        session: Session, *, name: str | None, reason: str, by: str, every: bool, json: bool
    ) -> None:
        targets = aim(session, name, every=every)
        who = by or operator()
        carry_out(session, targets, lambda it: order(it, who, reason), json=json, every=every)

    ordered.help = purpose
    return ordered


resume = ordering(
    "resume", Breaker.resume, "End a pause or a recovery: all workers dequeue again."
)
reset = ordering("reset", Breaker.reset, "Start afresh: closed, enabled, nothing counted.")
disable = ordering("disable", Breaker.disable, "Never pause this queue. Errors still count.")
enable = ordering("enable", Breaker.enable, "Re-enable a disabled breaker.")


@command("forget")
@name_argument
@all_option
@json_option
def forget(session: Session, *, name: str | None, every: bool, json: bool) -> None:
    """Remove a breaker: its state, its history, its place in the list.

    A worker that still uses the name makes a new breaker with its next job.
    """
    targets = aim(session, name, every=every)
    gone = []
    for target in targets:
        with session.breaker(target.name) as breaker:
            breaker.forget()
        gone.append(target.name)
        if not json:
            show.lines([f"{show.clean(target.name)}  forgotten"])
    if json:
        show.lines([as_json.pretty({"forgotten": gone})])
    elif not gone:
        show.note(f"{session.fleet.target} has no breakers yet; nothing changed")


def aim(
    session: Session, name: str | None, *, every: bool, may_be_new: bool = False
) -> list[Status]:
    """Read the breakers that the command names.

    Raises:
        ConfigurationError: no name and no --all, or both.
        UnknownBreaker: no breaker has this name, and the command makes none.
    """
    if (name is None) != every:
        problem = (
            "name a breaker, or give --all"
            if name is None
            else "give a name or --all, not both"
        )
        raise ConfigurationError([problem])
    if name is None:
        return session.statuses()
    if not may_be_new:
        return [session.status(name)]
    with session.breaker(name) as breaker:
        status = breaker.status()
    if not is_known(status):
        known = session.fleet.names()
        show.note(
            f"note: {name!r} is new, no worker has used it yet; {suggestion(name, known)}"
        )
    return [status]


def carry_out(
    session: Session,
    targets: Sequence[Status],
    order: Callable[[Breaker], Status],
    *,
    json: bool,
    every: bool,
) -> None:
    """Give the order to each breaker, and print the new states."""
    if not targets:
        show.note(f"{session.fleet.target} has no breakers yet; nothing changed")
    after = []
    for before in targets:
        with session.breaker(before.name) as breaker:
            after.append(order(breaker))
        if not json:
            show.lines([outcome(before, after[-1])])
    if json:
        answers = [asdict(status) for status in after]
        show.lines([as_json.pretty(answers if every else answers[0])])


def outcome(before: Status, after: Status) -> Text:
    """One line on what an order changed."""
    line = show.sentence(after)
    if edition(before) == edition(after):
        return line.append("; nothing changed")
    if before.overrides != after.overrides:
        line.append(f"; overrides now in force: {overrides(after)}")
    return line if before.state == after.state else line.append(f" (was {before.state})", "dim")


def overrides(status: Status) -> str:
    """The options that operators override."""
    found = [
        f"{name}={exact(value) if OPTIONS[name].is_duration else value}"
        for name, value in status.overrides.items()
    ]
    return ", ".join(found) or "none"
