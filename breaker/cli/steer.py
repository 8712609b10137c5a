"""The operator's commands: pause, resume, reset, disable, enable."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import wraps
from typing import Any

import click
from rich.text import Text

from breaker.cli import as_json, show
from breaker.cli.durations import exact
from breaker.cli.options import command, json_option, names_argument, parse_duration
from breaker.cli.pulse import edition
from breaker.cli.session import Session, operator
from breaker.cli.targets import GLOB, aim
from breaker.model import Status
from breaker.settings import LONGEST_PAUSE, OPTIONS
from breaker.sync import Breaker

Run = Callable[..., None]


def parse_pause(text: str) -> float:
    """Read --for."""
    seconds = parse_duration(text)
    if not 0 < seconds <= LONGEST_PAUSE:
        message = f"a pause lasts more than 0s and at most {exact(LONGEST_PAUSE)}, not {text!r}"
        raise click.BadParameter(message)
    return seconds


def no_new(run: Run) -> Run:
    """For an order that makes no breaker."""

    @wraps(run)
    def known(*args: Any, **given: Any) -> None:
        run(*args, new=None, **given)

    return known


new_option = click.option(
    "--new", is_flag=True, help="Make the breaker if no breaker has this name."
)
yes_option = click.option(
    "--yes", "-y", is_flag=True, help="Do not ask before many breakers are changed."
)
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
@names_argument
@click.option(
    "--for",
    "length",
    type=parse_pause,
    metavar="DURATION",
    help="How long: 90 or 90s, 5m, 1h30m. Default: until resumed.",
)
@reason_option
@by_option
@new_option
@all_option
@yes_option
@json_option
def pause(
    session: Session,
    *,
    names: tuple[str, ...],
    length: float | None,
    reason: str,
    by: str,
    new: bool,
    every: bool,
    yes: bool,
    json: bool,
) -> None:
    """Pause queues, for a given time or until they are resumed.

    A trip under it goes on. Example: breaker pause 'together:*' --for 30m --reason "incident 42"
    """
    targets = aim(session, names, "pause", every=every, yes=yes, new=new)
    who = by or operator()
    is_one = is_single(names, every=every)
    carry_out(
        session, targets, lambda it: it.pause(length, reason, who), json=json, is_one=is_one
    )


def ordering(
    verb: str,
    order: Callable[[Breaker, str, str], Status],
    purpose: str,
    *,
    may_make: bool = False,
) -> click.Command:
    """Make a command for an order that takes no more than names and a reason."""
    may_be_new: Callable[[Run], Run] = new_option if may_make else no_new

    @command(verb)
    @names_argument
    @reason_option
    @by_option
    @may_be_new
    @all_option
    @yes_option
    @json_option
    def ordered(
        session: Session,
        *,
        names: tuple[str, ...],
        reason: str,
        by: str,
        new: bool | None,
        every: bool,
        yes: bool,
        json: bool,
    ) -> None:
        targets = aim(session, names, verb, every=every, yes=yes, new=new)
        who = by or operator()
        is_one = is_single(names, every=every)
        carry_out(session, targets, lambda it: order(it, who, reason), json=json, is_one=is_one)

    ordered.help = purpose
    return ordered


resume = ordering(
    "resume",
    Breaker.resume,
    "End a pause or a recovery: all workers dequeue again.\n\nExample: breaker resume content",
)
reset = ordering(
    "reset",
    Breaker.reset,
    "Start afresh: closed, enabled, nothing counted.\n\nExample: breaker reset content",
)
disable = ordering(
    "disable",
    Breaker.disable,
    "Never pause this queue. Errors still count.\n\n"
    "Example: breaker disable content --reason 'we know'",
    may_make=True,
)
enable = ordering(
    "enable", Breaker.enable, "Re-enable a disabled breaker.\n\nExample: breaker enable content"
)


@command("forget")
@names_argument
@all_option
@yes_option
@json_option
def forget(
    session: Session, *, names: tuple[str, ...], every: bool, yes: bool, json: bool
) -> None:
    """Remove breakers: their state, their history, their place in the list.

    A worker that still uses the name makes a new breaker with its next job.

    Example: breaker forget 'test-*' --yes
    """
    targets = aim(session, names, "forget", every=every, yes=yes)
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


def carry_out(
    session: Session,
    targets: Sequence[Status],
    order: Callable[[Breaker], Status],
    *,
    json: bool,
    is_one: bool,
) -> None:
    """Give the order to each breaker, and print the new states.

    Args:
        session: the store and the prefix.
        targets: the breakers.
        order: what to do with each.
        json: print JSON.
        is_one: a single breaker was named, so that JSON is one object and not a list.
    """
    if not targets:
        show.note(f"{session.fleet.target} has no breakers yet; nothing changed")
    after = []
    for before in targets:
        with session.breaker(before.name) as breaker:
            after.append(order(breaker))
            if not json:
                show.lines([outcome(before, after[-1], replaced(breaker, before))])
    if json:
        answers = [asdict(status) for status in after]
        show.lines([as_json.pretty(answers[0] if is_one else answers)])


def is_single(names: Sequence[str], *, every: bool) -> bool:
    """Whether the command was given one name, and no pattern."""
    return not every and len(names) == 1 and not GLOB & set(names[0])


def replaced(breaker: Breaker, before: Status) -> str:
    """The order that this one took the place of, in the words of the history."""
    latest = breaker.events(1) if before.order else []
    return latest[0].replaces if latest else ""


def outcome(before: Status, after: Status, replaces: str = "") -> Text:
    """One line on what an order changed."""
    line = show.sentence(after)
    if replaces:
        line.append(f"; replaces: {show.clean(replaces)}")
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
