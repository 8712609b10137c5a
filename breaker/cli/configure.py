"""`breaker set`: override options for the whole fleet."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import click

from breaker.cli import durations
from breaker.cli.options import command, json_option, known_names
from breaker.cli.session import Session, operator
from breaker.cli.steer import aim, all_option, by_option, carry_out
from breaker.errors import ConfigurationError
from breaker.model import Status
from breaker.settings import OPTIONS, option_problems


@command("set")
@click.argument("words", nargs=-1, metavar="NAME OPTION=VALUE...", shell_complete=known_names)
@click.option(
    "--unset",
    multiple=True,
    metavar="OPTION",
    help="Remove an override, so that the workers' own setting applies again.",
)
@by_option
@all_option
@json_option
def set_options(
    session: Session,
    *,
    words: tuple[str, ...],
    unset: tuple[str, ...],
    by: str,
    every: bool,
    json: bool,
) -> None:
    """Set options for the whole fleet: threshold=10 cooldown=5m.

    Takes effect at once and overrides the workers' own settings. To remove an override:
    --unset OPTION, or `threshold=` without a value.
    """
    name, assignments = _split(words, every=every)
    changes = dict(_read(assignments)) | dict.fromkeys(unset)
    if not changes:
        raise ConfigurationError(
            [f"give at least one option, such as threshold=10; valid options: {_OPTION_LIST}"]
        )
    targets = aim(session, name, every=every)
    _check(targets, changes)
    who = by or operator()
    carry_out(session, targets, lambda it: it.configure(changes, who), json=json, every=every)


_OPTION_LIST = ", ".join(OPTIONS)


def _split(words: Sequence[str], *, every: bool) -> tuple[str | None, Sequence[str]]:
    """Split off the name, unless --all is given."""
    if every:
        return None, words
    if not words or words[0].partition("=")[0] in OPTIONS:
        raise ConfigurationError(["name a breaker before its options, or give --all"])
    return words[0], words[1:]


def _read(assignments: Sequence[str]) -> Iterator[tuple[str, Any]]:
    problems = [
        f"{word!r} is not of the form OPTION=VALUE" for word in assignments if "=" not in word
    ]
    if problems:
        raise ConfigurationError(problems)
    for word in assignments:
        name, _, text = word.partition("=")
        yield name, _value(name, text) if text else None


def _value(name: str, text: str) -> Any:
    """Read a value. An invalid one stays text, which `option_problems` then names."""
    with suppress(KeyError, ValueError):
        option = OPTIONS[name]
        return option.read(durations.parse(text) if option.is_duration else text)
    return text


def _check(targets: Sequence[Status], changes: Mapping[str, Any]) -> None:
    """Raise before the first breaker is changed, if any of them would refuse the changes."""
    unknown = [name for name in changes if name not in OPTIONS]
    wanted = {name: value for name, value in changes.items() if value is not None}
    problems = list(option_problems(dict.fromkeys(unknown, "")))
    for status in targets:
        current = {name: getattr(status, name) for name in ("cooldown", "max_cooldown")}
        problems += option_problems(wanted, current)
    if problems:
        raise ConfigurationError(list(dict.fromkeys(problems)))
