"""The command `breaker`: one module per command; what they share is in options, session, show."""

import gc
import logging
import sys

# The library logs what a command has done; the command itself says it.
logging.getLogger("breaker").addHandler(logging.NullHandler())
# The packages of the extra `cli`.
EXTRA = ("click", "rich")
# Objects between two garbage collections. Imports make many objects and no garbage: with Python's
# default of 700 a tenth of the start-up is spent on looking for some.
COLLECT_EVERY = 50_000


def main() -> None:
    """Run the command line."""
    gc.set_threshold(COLLECT_EVERY)
    try:
        from breaker.cli.app import app  # noqa: PLC0415 - click and rich are an extra

        app(prog_name="breaker")
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in EXTRA:
            raise
        sys.exit(f"the command breaker needs: pip install 'fleet-breaker[cli]' ({error})")
