"""`breaker`: the options before the command's name. The commands are listed in `group`."""

from typing import Annotated

import typer

from breaker.cli.exits import as_help
from breaker.cli.group import Commands
from breaker.cli.options import Prefix, Url
from breaker.cli.session import Session

app = typer.Typer(
    cls=Commands, epilog=as_help(), pretty_exceptions_enable=False, rich_markup_mode=None
)


def show_version(wanted: bool) -> None:
    """Print the version and exit."""
    if wanted:
        from importlib.metadata import (  # noqa: PLC0415 - takes longer than the help
            PackageNotFoundError,
            version,
        )

        try:
            release = version("fleet-breaker")
        except PackageNotFoundError:
            release = "from a checkout"
        typer.echo(f"breaker {release}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def options(
    ctx: typer.Context,
    url: Url = None,
    prefix: Prefix = None,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=show_version, is_eager=True, help="Show the version."
        ),
    ] = False,
) -> None:
    """A circuit breaker for queues: when one worker is rate limited, the whole fleet pauses.

    At 3 a.m.: `breaker status` shows what is paused, why and until when.
    """
    ctx.obj = Session(url, prefix)
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())
