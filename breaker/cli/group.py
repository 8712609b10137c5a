"""The commands together: each is imported when it is called, and each failure ends in one line."""

import sys
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from breaker.cli.exits import Exit
from breaker.cli.names import UnknownBreaker
from breaker.errors import BreakerError, ConfigurationError, StoreError

# Which class it is depends on typer's version: click's own, or that of the click inside typer.
_UsageError: type[Any] = typer.BadParameter.__mro__[1]

# Command -> the module and function that it calls, and its line in `breaker --help`: listing the
# commands must not import them, for redis-py alone takes a tenth of a second.
COMMANDS: Mapping[str, tuple[str, str, str]] = {
    "status": ("status", "status", "Show what is paused; with a NAME, all about one breaker."),
    "watch": ("watch", "watch", "Keep all breakers in view until Ctrl-C."),
    "events": ("events", "events", "Show what has happened, the latest last."),
    "doctor": (
        "doctor",
        "doctor",
        "Check the store: connection, version, permissions, memory, clock.",
    ),
    "pause": ("steer", "pause", "Pause a queue, for a given time or until it is resumed."),
    "resume": ("steer", "resume", "End a pause or a recovery: all workers dequeue again."),
    "reset": ("steer", "reset", "Start afresh: closed, enabled, nothing counted."),
    "disable": ("steer", "disable", "Never pause this queue. Errors still count."),
    "enable": ("steer", "enable", "Re-enable a disabled breaker."),
    "set": (
        "configure",
        "set_options",
        "Set options for the whole fleet: threshold=10 cooldown=5m.",
    ),
    "demo": ("guests", "demo", "Watch a fleet meet a rate limit, on this machine."),
    "serve": ("guests", "serve", "Serve the metrics and the health of the fleet over HTTP."),
}


class _Imported(Mapping[str, Any]):
    """The commands by name, each made when it is looked up."""

    def __getitem__(self, name: str) -> Any:
        module, function, _help = COMMANDS[name]
        found = import_module(f"breaker.cli.{module}")
        return alone(name, getattr(found, function), getattr(found, "CONTEXT", None))

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


def alone(
    name: str, function: Callable[..., Any], context: dict[str, Any] | None = None
) -> Any:
    """Make a command that is called by its name."""
    app = typer.Typer(
        add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
    )
    app.command(name, context_settings=context)(function)
    return typer.main.get_command(app)


class Commands(TyperGroup):
    """The group of all commands."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.commands: Any = _Imported()

    def list_commands(self, _ctx: Any) -> list[str]:
        """Return the names in the order of the table."""
        return list(COMMANDS)

    def format_commands(self, _ctx: Any, formatter: Any) -> None:
        """Write the table into the help."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (*_, line) in COMMANDS.items()])

    def main(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Run one command and exit."""
        kwargs["standalone_mode"] = False
        try:
            code = super().main(*args, **kwargs)
        except _UsageError as error:
            code = _complain(_usage(error), Exit.USAGE)
        except BreakerError as error:
            code = _complain(_advised(error), exit_code(error))
        except (KeyboardInterrupt, typer.Abort):
            code = Exit.INTERRUPTED
        sys.exit(code if isinstance(code, int) else 0)


def exit_code(error: BreakerError) -> Exit:
    """The code that a kind of error ends with."""
    kinds = {
        ConfigurationError: Exit.USAGE,
        UnknownBreaker: Exit.UNKNOWN,
        StoreError: Exit.STORE,
    }
    return next((code for kind, code in kinds.items() if isinstance(error, kind)), Exit.FAILED)


def _complain(message: str, code: Exit) -> Exit:
    from breaker.cli import show  # noqa: PLC0415 - rich is needed only to complain

    show.note(message)
    return code


def _advised(error: BreakerError) -> str:
    advice = "; set --url or BREAKER_URL, or run `breaker doctor`"
    return f"{error}".rstrip(".") + (advice if isinstance(error, StoreError) else "")


def _usage(error: Any) -> str:
    path = error.ctx.command_path if error.ctx else "breaker"
    said = error.format_message().rstrip(".")
    return f"{path}: {said[:1].lower()}{said[1:]}; see `{path} --help`"
