"""`breaker set`: override options for the whole fleet."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, get_args, get_type_hints

import click
from click.shell_completion import CompletionItem

from breaker.cli import durations
from breaker.cli.options import command, json_option, known_names
from breaker.cli.session import Session, operator
from breaker.cli.steer import all_option, by_option, carry_out, is_single, yes_option
from breaker.cli.targets import aim
from breaker.errors import ConfigurationError
from breaker.model import Status
from breaker.settings import OPTIONS, Options, option_problems

# The values of the options that are choices.
CHOICES = {
    name: get_args(kind) for name, kind in get_type_hints(Options).items() if get_args(kind)
}


def words_so_far(
    ctx: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete names, then the options and their choices."""
    option, is_value, text = incomplete.partition("=")
    if is_value:
        choices = CHOICES.get(option, ())
        return [CompletionItem(f"{option}={one}") for one in choices if one.startswith(text)]
    options = [
        CompletionItem(f"{name}=", help=one.help)
        for name, one in OPTIONS.items()
        if name.startswith(incomplete)
    ]
    is_first = not ctx.params.get("words") and not ctx.params.get("every")
    return known_names(ctx, parameter, incomplete) + ([] if is_first else options)


@command("set")
@click.argument(
    "words", nargs=-1, metavar="NAME... OPTION=VALUE...", shell_complete=words_so_far
)
@click.option(
    "--unset",
    multiple=True,
    metavar="OPTION",
    help="Remove an override, so that the workers' own setting applies again.",
)
@by_option
@all_option
@yes_option
@json_option
def set_options(
    session: Session,
    *,
    words: tuple[str, ...],
    unset: tuple[str, ...],
    by: str,
    every: bool,
    yes: bool,
    json: bool,
) -> None:
    """Set options for the whole fleet: threshold=10 cooldown=5m.

    Takes effect at once and overrides the workers' own settings. To remove an override:
    --unset OPTION, or `threshold=` without a value.

    Example: breaker set content threshold=10 cooldown=5m
    """
    names, assignments = _split(words, every=every)
    changes = dict(_read(assignments)) | dict.fromkeys(unset)
    if not changes:
        raise ConfigurationError(
            [f"give at least one option, such as threshold=10; valid options: {_OPTION_LIST}"]
        )
    targets = aim(session, names, "set", every=every, yes=yes)
    _check(targets, changes)
    who = by or operator()
    is_one = is_single(names, every=every)
    carry_out(session, targets, lambda it: it.configure(changes, who), json=json, is_one=is_one)


_OPTION_LIST = ", ".join(OPTIONS)


def _split(words: Sequence[str], *, every: bool) -> tuple[Sequence[str], Sequence[str]]:
    """Split off the names, unless --all is given: the first word, and others without a `=`."""
    if every:
        return (), words
    if not words or words[0].partition("=")[0] in OPTIONS:
        raise ConfigurationError(["name a breaker before its options, or give --all"])
    names, assignments = [words[0]], list[str]()
    for word in words[1:]:
        is_option = "=" in word or word in OPTIONS
        (assignments if is_option else names).append(word)
    return names, assignments


def _read(assignments: Sequence[str]) -> Iterator[tuple[str, Any]]:
    if problems := [
        f"{word!r} is not of the form OPTION=VALUE" for word in assignments if "=" not in word
    ]:
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
