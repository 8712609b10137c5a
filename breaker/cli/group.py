"""The commands together: whatever goes wrong in one ends in a line and an exit code."""

import sys
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from breaker.cli import show
from breaker.cli.exits import Exit
from breaker.cli.names import UnknownBreaker
from breaker.errors import BreakerError, ConfigurationError, StoreError

# Which class it is depends on typer's version: click's own, or that of the click inside typer.
_UsageError: type[Any] = typer.BadParameter.__mro__[1]


class Commands(TyperGroup):
    """The group of all commands."""

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
    show.note(message)
    return code


def _advised(error: BreakerError) -> str:
    advice = "; set --url or BREAKER_URL, or let `breaker doctor` tell more"
    return f"{error}".rstrip(".") + (advice if isinstance(error, StoreError) else "")


def _usage(error: Any) -> str:
    path = error.ctx.command_path if error.ctx else "breaker"
    said = error.format_message().rstrip(".")
    return f"{path}: {said[:1].lower()}{said[1:]}; `{path} --help` tells more"
