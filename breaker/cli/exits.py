"""What the command's exit codes mean. Scripts rely on them."""

from enum import IntEnum


class Exit(IntEnum):
    """The codes, other than 0 for done."""

    FAILED = 1
    USAGE = 2
    PAUSED = 3
    UNKNOWN = 4
    STORE = 5
    INTERRUPTED = 130


MEANINGS = {
    0: "done; watch and events --follow also when they are ended with Ctrl-C",
    Exit.FAILED: "doctor found something that fails, or an extra is not installed",
    Exit.USAGE: "wrong usage or a bad value; nothing was changed",
    Exit.PAUSED: "status --check: paused",
    Exit.UNKNOWN: "there is no breaker of that name",
    Exit.STORE: "the store does not answer or refuses",
    Exit.INTERRUPTED: "ended with Ctrl-C",
}


def as_help() -> str:
    """The table as `breaker --help` ends with it."""
    lines = [f"{code:>4}  {meaning}" for code, meaning in MEANINGS.items()]
    return "\b\n" + "\n".join(["Exit codes:", *lines])
