"""`breaker`: the options before the command's name. The commands are listed in `group`."""

from typing import Any

import click

from breaker.cli.exits import as_help
from breaker.cli.group import COMMANDS, Commands
from breaker.cli.options import prefix_option, url_option


def show_version(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    """Print the version and exit."""
    if not wanted or ctx.resilient_parsing:
        return
    from importlib.metadata import (  # noqa: PLC0415 - takes longer than the help
        PackageNotFoundError,
        version,
    )

    try:
        release = version("fleet-breaker")
    except PackageNotFoundError:
        release = "from a checkout"
    click.echo(f"breaker {release}")
    ctx.exit()


@click.group(cls=Commands, epilog=as_help(), invoke_without_command=True)
@url_option
@prefix_option
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=show_version,
    help="Show the version.",
)
@click.pass_context
def app(ctx: click.Context, /, **before: Any) -> None:
    """A circuit breaker for queues: when one worker is rate limited, the whole fleet pauses.

    At 3 a.m.: `breaker status` shows what is paused, why and until when.
    """
    given = {option: value for option, value in before.items() if value is not None}
    ctx.default_map = dict.fromkeys(COMMANDS, given)
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
