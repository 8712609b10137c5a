"""Which breakers an order is for: names, globs or all; new ones and many only if that is meant."""

import sys
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

import click

from breaker.cli import show
from breaker.cli.names import Unconfirmed, UnknownBreaker, is_known, suggestion
from breaker.cli.session import Session
from breaker.errors import ConfigurationError
from breaker.model import Status

# Names that a question lists.
LISTED = 10
GLOB = frozenset("*?[")


def aim(
    session: Session,
    names: Sequence[str],
    verb: str,
    *,
    every: bool,
    yes: bool,
    new: bool | None = None,
) -> list[Status]:
    """Read the breakers that the command names.

    Args:
        session: the store and the prefix.
        names: names, and patterns with `*`, `?` and `[...]`.
        verb: what is to be done with them.
        every: all breakers.
        yes: many are meant.
        new: a breaker that does not exist is meant; None: the order makes none.

    Raises:
        ConfigurationError: no name and no --all, or both.
        UnknownBreaker: a name that no breaker has.
        Unconfirmed: several breakers or a new one, and the operator did not say yes.
    """
    if bool(names) == every:
        problem = (
            "name a breaker, or give --all" if not names else "give names or --all, not both"
        )
        raise ConfigurationError([problem])
    if every:
        found, is_wide = session.statuses(), True
    else:
        found, is_wide = _named(session, names, verb, new)
    if is_wide and found and not yes:
        _confirm(_question(verb, [one.name for one in found]), "add --yes")
    return found


def is_pattern(session: Session, name: str) -> bool:
    """Whether this is a pattern, and not the name of a breaker that looks like one."""
    return bool(GLOB & set(name)) and not is_known(session.look(name))


def _named(
    session: Session, names: Sequence[str], verb: str, new: bool | None
) -> tuple[list[Status], bool]:
    """The breakers of these names and patterns, and whether there was a pattern."""
    found: dict[str, Status] = {}
    is_wide = False
    for name in names:
        status = session.look(name)
        if is_known(status):
            found[name] = status
        elif GLOB & set(name):
            is_wide = True
            found |= {one.name: one for one in _matching(session, name)}
        else:
            found[name] = _new(session, status, verb, new)
    return list(found.values()), is_wide


def _matching(session: Session, pattern: str) -> Iterator[Status]:
    statuses = [one for one in session.statuses() if fnmatchcase(one.name, pattern)]
    if not statuses:
        raise UnknownBreaker(pattern, session.fleet.names())
    yield from statuses


def _new(session: Session, status: Status, verb: str, new: bool | None) -> Status:
    known = session.fleet.names()
    if new is None:
        raise UnknownBreaker(status.name, known)
    if not new:
        unknown = f"no breaker is called {status.name!r}; {suggestion(status.name, known)}"
        if not is_asked():
            raise UnknownBreaker(status.name, known, f"to {verb} it all the same, add --new")
        _confirm(f"{unknown}\nThis would make it. Go on?", "add --new")
    return status


def _question(verb: str, names: Sequence[str]) -> str:
    shown = ", ".join(map(show.clean, names[:LISTED]))
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    count = "1 breaker" if len(names) == 1 else f"{len(names)} breakers"
    return f"This would {verb} {count}: {shown}{more}. Go on?"


def _confirm(question: str, otherwise: str) -> None:
    if not is_asked():
        raise Unconfirmed(f"{question.removesuffix(' Go on?')} Nothing changed: {otherwise}")
    if not click.confirm(question, err=True):
        raise Unconfirmed("nothing changed")


def is_asked() -> bool:
    """Whether there is a person to answer a question."""
    return sys.stdin.isatty() and sys.stderr.isatty()
