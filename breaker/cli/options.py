"""The options that commands share, and the session that each command gets."""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, Concatenate, ParamSpec

import click
from click.shell_completion import CompletionItem

from breaker.cli import durations
from breaker.cli.session import Session
from breaker.errors import BreakerError

P = ParamSpec("P")


def parse_duration(text: str) -> float:
    """Read seconds from the command line."""
    try:
        return durations.parse(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def known_names(
    ctx: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete the name of a breaker, if the store can be reached."""
    given: list[Mapping[str, Any]] = [ctx.params, ctx.parent.params if ctx.parent else {}]
    url, prefix = (
        next((one[option] for one in given if one.get(option) is not None), None)
        for option in ("url", "prefix")
    )
    try:
        with Session(url, prefix) as session:
            names = session.fleet.names()
    except BreakerError:
        return []
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


url_option = click.option(
    "--url",
    metavar="URL",
    help="Where Redis or Valkey is: redis://[user:password@]host[:port][/database]. "
    "Default: BREAKER_URL, else redis://localhost:6379/0.",
)
prefix_option = click.option(
    "--prefix", metavar="TEXT", help="Key prefix. Default: BREAKER_PREFIX, else breaker."
)
name_argument = click.argument(
    "name", metavar="[NAME]", required=False, shell_complete=known_names
)
some_argument = click.argument(
    "name", metavar="[NAME|PATTERN]", required=False, shell_complete=known_names
)
names_argument = click.argument(
    "names", metavar="NAME...", nargs=-1, shell_complete=known_names
)
json_option = click.option("--json", is_flag=True, help="Answer in JSON, for scripts.")


def command(
    name: str,
) -> Callable[[Callable[Concatenate[Session, P], None]], click.Command]:
    """Make a command with --url and --prefix, which gets a session with the store they name.

    Both may also be given before the command's name: `app` then makes them this command's
    defaults.
    """

    def make(run: Callable[Concatenate[Session, P], None]) -> click.Command:
        @wraps(run)
        def with_session(
            url: str | None, prefix: str | None, *args: P.args, **kwargs: P.kwargs
        ) -> None:
            with Session(url, prefix) as session:
                run(session, *args, **kwargs)

        # From the bottom up, so that the command's own options come first in its help.
        own = with_session.__dict__.pop("__click_params__", [])
        shared = url_option(prefix_option(with_session))
        made = click.command(name)(shared)
        made.params = [*reversed(own), *made.params]
        return made

    return make
