"""What a job of another language died of: BullMQ keeps the message and the stack, as text."""

import re

# How SDKs for Node begin a message: `429 Rate limit reached`, `429 status code (no body)`.
_STATUS = re.compile(r"([45]\d\d) ")
_FRAMES = re.compile(r"\n\s+at ")
_TRACEBACK = "Traceback (most recent call last):"


class Failure(Exception):  # noqa: N818 - what a job ended with, not an error of ours
    """A job's error, for the classifier.

    Attributes:
        status_code: the HTTP status that its message begins with.
    """

    def __init__(self, reason: str, stack: str = "") -> None:
        super().__init__(_head(stack) if reason in stack else reason)
        status = _STATUS.match(reason)
        self.status_code = int(status[1]) if status else None


def _head(stack: str) -> str:
    """The class and the message, without the frames: their line numbers look like a status."""
    if stack.startswith(_TRACEBACK):
        lines = stack.rstrip().splitlines()
        first = max(number for number, line in enumerate(lines) if line.startswith(" ")) + 1
        return "\n".join(lines[first:])
    return _FRAMES.split(stack, maxsplit=1)[0]
