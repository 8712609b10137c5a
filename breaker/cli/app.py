"""`breaker`: what the words on the command line call."""

from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from breaker.cli import guests, show, steer
from breaker.cli.configure import set_options
from breaker.cli.doctor import doctor
from breaker.cli.events import events
from breaker.cli.exits import as_help
from breaker.cli.group import Commands
from breaker.cli.options import Prefix, Url
from breaker.cli.session import Session
from breaker.cli.status import status
from breaker.cli.watch import watch

app = typer.Typer(
    cls=Commands, epilog=as_help(), pretty_exceptions_enable=False, rich_markup_mode=None
)


def show_version(wanted: bool) -> None:
    """Print which release this is, and leave."""
    if wanted:
        try:
            release = version("fleet-breaker")
        except PackageNotFoundError:
            release = "from a checkout"
        show.lines([f"breaker {release}"])
        raise typer.Exit


@app.callback(invoke_without_command=True)
def options(
    ctx: typer.Context,
    url: Url = None,
    prefix: Prefix = None,
    _version: Annotated[
        bool,
        typer.Option("--version", callback=show_version, is_eager=True, help="Which release."),
    ] = False,
) -> None:
    """A circuit breaker for queues: one worker is rate limited, the whole fleet pauses.

    At 3 a.m.: `breaker status` shows what is paused, why and until when.
    """
    ctx.obj = Session(url, prefix)
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())


app.command()(status)
app.command()(watch)
app.command()(events)
app.command()(doctor)
app.command("pause")(steer.pause)
app.command("resume")(steer.resume)
app.command("reset")(steer.reset)
app.command("disable")(steer.disable)
app.command("enable")(steer.enable)
app.command("set")(set_options)
app.command(context_settings=guests.CONTEXT)(guests.demo)
app.command(context_settings=guests.CONTEXT)(guests.serve)
