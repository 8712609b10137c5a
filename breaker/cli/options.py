"""The options that commands share, and the session that each command gets."""

from collections.abc import Callable
from functools import wraps
from inspect import Parameter, signature
from typing import Annotated, Concatenate, ParamSpec

import typer

from breaker.cli import durations
from breaker.cli.session import Session
from breaker.errors import BreakerError

P = ParamSpec("P")


def parse_duration(text: str) -> float:
    """Read seconds from the command line."""
    try:
        return durations.parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def known_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete the name of a breaker, if the store can be reached."""
    given = [ctx.params, ctx.parent.params if ctx.parent else {}]
    url, prefix = (
        next((one[option] for one in given if one.get(option) is not None), None)
        for option in ("url", "prefix")
    )
    try:
        with Session(url, prefix) as session:
            return [name for name in session.fleet.names() if name.startswith(incomplete)]
    except BreakerError:
        return []


Url = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Where Redis or Valkey is: redis://[user:password@]host[:port][/database]. "
        "Default: BREAKER_URL, else redis://localhost:6379/0.",
        show_default=False,
    ),
]
Prefix = Annotated[
    str | None,
    typer.Option(
        metavar="TEXT",
        help="Key prefix. Default: breaker.",
        show_default=False,
    ),
]
Name = Annotated[
    str | None,
    typer.Argument(metavar="NAME", show_default=False, autocompletion=known_names),
]
AsJson = Annotated[bool, typer.Option("--json", help="Answer in JSON, for scripts.")]

SHARED = (
    Parameter("url", Parameter.KEYWORD_ONLY, annotation=Url, default=None),
    Parameter("prefix", Parameter.KEYWORD_ONLY, annotation=Prefix, default=None),
    Parameter("ctx", Parameter.KEYWORD_ONLY, annotation=typer.Context),
)


def command(run: Callable[Concatenate[Session, P], None]) -> Callable[..., None]:
    """Give a command --url and --prefix, and a session with the store that they name.

    Both may also be given before the command's name: then they are in the context. If they are
    given twice, the option after the name wins.
    """

    @wraps(run)
    def with_session(
        ctx: typer.Context, url: Url, prefix: Prefix, *args: P.args, **kwargs: P.kwargs
    ) -> None:
        before: Session = ctx.obj
        with Session(
            before.url if url is None else url, before.prefix if prefix is None else prefix
        ) as session:
            run(session, *args, **kwargs)

    return _offering(with_session, run)


def _offering(function: Callable[..., None], run: Callable[..., None]) -> Callable[..., None]:
    """Make typer see the options of both."""
    _session, *own = signature(run).parameters.values()
    keywords = [one.replace(kind=Parameter.KEYWORD_ONLY) for one in own]
    function.__dict__["__signature__"] = signature(run).replace(parameters=[*keywords, *SHARED])
    function.__annotations__ = {one.name: one.annotation for one in (*own, *SHARED)}
    return function
