"""Durations as people write and read them: 90, 90s, 5m, 1h30m, 500ms."""

import re

_MILLISECONDS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|[smhd])")
_WHOLE = re.compile(rf"(?:{_PART.pattern})+")
_BARE = re.compile(r"[0-9]+(?:\.[0-9]+)?")


def parse(text: str) -> float:
    """Read seconds.

    Raises:
        ValueError: naming the text and the forms that are valid.
    """
    if _BARE.fullmatch(text):
        return float(text)
    if not _WHOLE.fullmatch(text):
        message = f"{text!r} is not a duration; write 90, 90s, 5m, 1h30m or 500ms"
        raise ValueError(message)
    return sum(float(count) * _MILLISECONDS[unit] for count, unit in _PART.findall(text)) / 1000


def exact(seconds: float) -> str:
    """Write a duration to the millisecond, as `parse` reads it: 1m30s."""
    return "".join(_parts(round(seconds * 1000))) or "0s"


def rough(seconds: float) -> str:
    """Write a duration by its two largest units: 4m 12s, 3d 2h."""
    return " ".join(_parts(round(seconds) * 1000)[:2]) or "0s"


def _parts(milliseconds: int) -> list[str]:
    parts = []
    for unit, size in _MILLISECONDS.items():
        count, milliseconds = divmod(milliseconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return parts
