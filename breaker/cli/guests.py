"""Commands of other parts of the package, which need extras of their own."""

from collections.abc import Callable
from importlib import import_module
from typing import Any, cast

import typer

from breaker.cli.exits import Exit
from breaker.cli.group import alone
from breaker.cli.session import Session
from breaker.protocol.keys import PREFIX

# Pass all further arguments, --help included, to the command.
CONTEXT = {
    "allow_extra_args": True,
    "allow_interspersed_args": False,
    "help_option_names": [],
    "ignore_unknown_options": True,
}


def demo(ctx: typer.Context) -> None:
    """Watch a fleet meet a rate limit, on this machine."""
    _host(ctx, "demo")


def serve(ctx: typer.Context) -> None:
    """Serve the metrics and the health of the fleet over HTTP."""
    _host(ctx, "service", "serve")


def _host(ctx: typer.Context, package: str, name: str = "") -> None:
    name = name or package
    command = alone(name, _load(f"breaker.{package}.command", name, extra=package))
    taken = {option for parameter in command.params for option in parameter.opts}
    code = command.main(
        args=[*_passed_on(ctx.obj, taken), *ctx.args],
        prog_name=ctx.command_path,
        standalone_mode=False,
    )
    raise typer.Exit(code if isinstance(code, int) else 0)


def _load(module: str, name: str, *, extra: str) -> Callable[..., Any]:
    try:
        return cast("Callable[..., Any]", getattr(import_module(module), name))
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] == "breaker":
            raise
        typer.echo(f"breaker {name} needs: pip install 'fleet-breaker[{extra}]'", err=True)
        raise typer.Exit(Exit.FAILED) from None


def _passed_on(session: Session, taken: set[str]) -> list[str]:
    """The options given before the command's name, if the command takes them."""
    given = {"--url": session.url, "--prefix": session.prefix}
    defaults = {"--url": None, "--prefix": PREFIX}
    return [
        word
        for option, value in given.items()
        if value is not None and value != defaults[option] and option in taken
        for word in (option, value)
    ]
