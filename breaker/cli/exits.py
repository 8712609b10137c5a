"""What the command's exit codes mean. Scripts rely on them."""

from enum import IntEnum


class Exit(IntEnum):
    """The codes other than 0, which is success."""

    FAILED = 1
    USAGE = 2
    PAUSED = 3
    UNKNOWN = 4
    STORE = 5
    UNCONFIRMED = 6
    INTERRUPTED = 130


MEANINGS = {
    0: "success; also when Ctrl-C ends `watch` or `events --follow`",
    Exit.FAILED: "doctor found a fault, or an extra is not installed",
    Exit.USAGE: "wrong usage or an invalid value; nothing changed",
    Exit.PAUSED: "status --check: paused",
    Exit.UNKNOWN: "no breaker has this name",
    Exit.STORE: "the store is unreachable, or refused the command",
    Exit.UNCONFIRMED: "the order needs a yes (--yes, --new), which was not given; nothing changed",
    Exit.INTERRUPTED: "ended by Ctrl-C",
}


def as_help() -> str:
    """The table at the end of `breaker --help`."""
    lines = [f"{code:>4}  {meaning}" for code, meaning in MEANINGS.items()]
    return "\b\n" + "\n".join(["Exit codes:", *lines])
