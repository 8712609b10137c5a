"""The command `breaker`: one module per command; what they share is in options, session, show."""

import logging
import sys

# The library logs what a command has done; the command itself says it.
logging.getLogger("breaker").addHandler(logging.NullHandler())


def main() -> None:
    """Run the command line."""
    try:
        from breaker.cli.app import app  # noqa: PLC0415 - typer and rich are an extra
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] == "breaker":
            raise
        sys.exit(f"the command breaker needs: pip install 'fleet-breaker[cli]' ({error})")
    app(prog_name="breaker")
