"""The commands together: each is imported when it is called, and each failure ends in one line."""

import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, NamedTuple, NoReturn

import click

from breaker.cli.exits import Exit
from breaker.cli.names import Unconfirmed, UnknownBreaker
from breaker.errors import BreakerError, ConfigurationError, StoreError


class Place(NamedTuple):
    """Where a command is, and its line in `breaker --help`.

    Listing the commands must not import them: redis-py alone takes a tenth of a second.
    """

    module: str
    attribute: str
    line: str
    extra: str = "cli"

    def load(self, name: str) -> click.Command:
        """Import the command."""
        try:
            found: click.Command = getattr(import_module(self.module), self.attribute)
        except ModuleNotFoundError as error:
            if (error.name or "").split(".")[0] == "breaker" or self.extra == "cli":
                raise
            message = f"breaker {name} needs: pip install 'fleet-breaker[{self.extra}]'"
            raise click.ClickException(message) from None
        return found


COMMANDS: Mapping[str, Place] = {
    "status": Place(
        "breaker.cli.status",
        "status",
        "Show what is paused; with a NAME, all about one breaker.",
    ),
    "watch": Place("breaker.cli.watch", "watch", "Keep all breakers in view until Ctrl-C."),
    "events": Place("breaker.cli.events", "events", "Show what has happened, the latest last."),
    "doctor": Place(
        "breaker.cli.doctor.command",
        "doctor",
        "Check the store: connection, version, permissions, memory, clock.",
    ),
    "classify": Place(
        "breaker.cli.classify",
        "classify",
        "Say what an error or a response would be taken for, and why.",
    ),
    "alerts": Place(
        "breaker.cli.alerts",
        "alerts",
        "Send a test alert through each channel; show what is under way.",
    ),
    "pause": Place(
        "breaker.cli.steer",
        "pause",
        "Pause queues, for a given time or until they are resumed.",
    ),
    "resume": Place(
        "breaker.cli.steer", "resume", "End a pause or a recovery: all workers dequeue again."
    ),
    "reset": Place(
        "breaker.cli.steer", "reset", "Start afresh: closed, enabled, nothing counted."
    ),
    "disable": Place(
        "breaker.cli.steer", "disable", "Never pause this queue. Errors still count."
    ),
    "enable": Place("breaker.cli.steer", "enable", "Re-enable a disabled breaker."),
    "set": Place(
        "breaker.cli.configure",
        "set_options",
        "Set options for the whole fleet: threshold=10 cooldown=5m.",
    ),
    "forget": Place(
        "breaker.cli.steer",
        "forget",
        "Remove breakers: their state, their history, their place in the list.",
    ),
    "bridge": Place(
        "breaker.cli.bridge",
        "bridge",
        "Guard the queues of workers that know nothing of breakers: BullMQ's, in Node.",
    ),
    "demo": Place(
        "breaker.demo.command",
        "demo",
        "Watch a fleet meet a rate limit: first without a breaker, then with it.",
        extra="demo",
    ),
    "serve": Place(
        "breaker.service.command",
        "serve",
        "Serve the API, the metrics and the events over HTTP until it is stopped.",
        extra="service",
    ),
}


class _Imported(Mapping[str, click.Command]):
    """The commands by name, each imported when it is looked up."""

    def __getitem__(self, name: str) -> click.Command:
        return COMMANDS[name].load(name)

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class Commands(click.Group):
    """The group of all commands."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.commands: Any = _Imported()

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Return the names in the order of the table."""
        return list(COMMANDS)

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table into the help."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, place.line) for name, place in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run one command; Ctrl-C ends it without a word."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise click.exceptions.Exit(Exit.INTERRUPTED) from None

    def main(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Run one command and exit."""
        kwargs["standalone_mode"] = False
        try:
            code = super().main(*args, **kwargs)
        except click.UsageError as error:
            code = _complain(_usage(error), Exit.USAGE)
        except click.ClickException as error:
            code = _complain(error.format_message(), Exit.FAILED)
        except BreakerError as error:
            code = _complain(_advised(error), exit_code(error))
        except click.Abort:
            code = Exit.INTERRUPTED
        sys.exit(code if isinstance(code, int) else 0)


def exit_code(error: BreakerError) -> Exit:
    """The code that a kind of error ends with."""
    kinds = {
        ConfigurationError: Exit.USAGE,
        UnknownBreaker: Exit.UNKNOWN,
        Unconfirmed: Exit.UNCONFIRMED,
        StoreError: Exit.STORE,
    }
    return next((code for kind, code in kinds.items() if isinstance(error, kind)), Exit.FAILED)


def _complain(message: str, code: Exit) -> Exit:
    from breaker.cli import show  # noqa: PLC0415 - rich is needed only to complain

    show.note(message)
    return code


def _advised(error: BreakerError) -> str:
    if not isinstance(error, StoreError):
        return f"{error}".rstrip(".")
    from breaker.cli.faults import sentence  # noqa: PLC0415 - only a failure needs it

    return sentence(error)


def _usage(error: click.UsageError) -> str:
    path = error.ctx.command_path if error.ctx else "breaker"
    said = error.format_message().rstrip(".")
    return f"{path}: {said[:1].lower()}{said[1:]}; see `{path} --help`"
