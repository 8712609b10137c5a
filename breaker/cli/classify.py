"""`breaker classify`: what an error or a response would be taken for, and why."""

import builtins
import importlib
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
from rich.text import Text

from breaker.classify import Verdict, explain
from breaker.cli import as_json, show
from breaker.cli.durations import rough
from breaker.cli.options import json_option
from breaker.errors import ConfigurationError

_STATUS_LINE = re.compile(r"HTTP/\d(?:\.\d)? (\d{3})\b.*")
_CLASS = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
# The last line of a traceback: the class with its module, and the message.
_LAST_LINE = re.compile(r"^(?:  \| )*(?P<name>[A-Za-z_][\w.]*)(?:: (?P<text>.*))?$", re.DOTALL)
_CHAINED = "\nThe above exception was the direct cause of the following exception:\n"
_DURING = "\nDuring handling of the above exception, another exception occurred:\n"


@click.command("classify")
@click.argument("source", metavar="[FILE|MODULE:EXCEPTION|TEXT]", required=False)
@json_option
def classify(*, source: str | None, json: bool) -> None:
    """Say what an error or a response would be taken for, and why.

    FILE has a traceback, or what `curl -i` printed. MODULE:EXCEPTION is a class, as in
    openai:RateLimitError. TEXT is what an error says. Without any of them, or with -, standard
    input is read.

    Example: curl -si https://api.example.com/ | breaker classify
    """
    verdict = explain(read(source))
    if json:
        show.lines([Text(as_json.pretty(plain(verdict)))])
    else:
        show.lines(lines(verdict))


def plain(verdict: Verdict) -> dict[str, Any]:
    """The verdict for machines."""
    limit = verdict.limit
    return {
        "kind": limit.kind if limit else None,
        "retry_after": limit.retry_after if limit else None,
        "scope": limit.scope if limit else None,
        "why": verdict.why,
    }


_NAMES = {
    "rate_limit": "a rate limit: counts towards the threshold",
    "overload": "an overload: counts towards the threshold, unless on_overload=ignore",
    "quota": "an exhausted quota: pauses the queue at once, for quota_pause",
}


def lines(verdict: Verdict) -> list[Text | str]:
    """The verdict for people."""
    limit = verdict.limit
    told = [
        Text(_NAMES[limit.kind] if limit else "not a rate limit: counts for nothing", "bold")
    ]
    told.append(Text(f"why    {show.clean(verdict.why)}"))
    if limit and limit.kind != "quota":
        wait = rough(limit.retry_after) if limit.retry_after else "not said; the cooldown holds"
        told.append(Text(f"wait   {wait}"))
    if limit and limit.scope:
        told.append(Text(f"scope  {limit.scope}"))
    return list(told)


def read(source: str | None) -> object:
    """Make an error or a response of what the command was given.

    Raises:
        ConfigurationError: there is nothing, or the class cannot be had.
    """
    if source is not None and _CLASS.fullmatch(source) and not Path(source).exists():
        return _instance(source)
    text = _text(source).strip("\n")
    if not text.strip():
        raise ConfigurationError(
            ["there is nothing to classify: give a file, a text or a class"]
        )
    return response(text) if _STATUS_LINE.match(text) else traceback(text)


def _text(source: str | None) -> str:
    if source is None or source == "-":
        return sys.stdin.read()
    try:
        return Path(source).read_text(errors="replace") if Path(source).is_file() else source
    except OSError:
        return source


def _instance(name: str) -> object:
    module, _, path = name.partition(":")
    found: Any
    sys.path.insert(0, str(Path.cwd()))
    try:
        found = importlib.import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except Exception as error:  # noqa: BLE001 - a module that is imported may raise anything
        raise ConfigurationError([f"{name} cannot be imported: {error}"]) from None
    finally:
        sys.path.pop(0)
    if not (isinstance(found, type) and issubclass(found, BaseException)):
        raise ConfigurationError([f"{name} is not an exception class"])
    return found.__new__(found)


def response(text: str) -> object:
    """Read what `curl -i` printed; of several answers (redirects, 100) the last."""
    head, body = "", text.replace("\r\n", "\n")
    while _STATUS_LINE.match(body):
        head, _, body = body.partition("\n\n")
    first, *rest = head.split("\n")
    match = _STATUS_LINE.match(first)
    headers = [tuple(line.split(":", 1)) for line in rest if ":" in line]
    return SimpleNamespace(status=int(match[1]) if match else None, headers=headers, body=body)


def traceback(text: str) -> BaseException:
    """Read a traceback, with its direct causes, or a text alone."""
    found: BaseException | None = None
    for part in text.rpartition(_DURING)[2].split(_CHAINED):
        error = _error(part)
        error.__cause__ = found
        found = error
    return found or RuntimeError(text)


def _error(text: str) -> BaseException:
    said = _after_frames(text)
    match = _LAST_LINE.match(said)
    if not match or ("Traceback" not in text and match["text"] is None):
        return RuntimeError(said)
    module, _, name = match["name"].rpartition(".")
    base = None if module else getattr(builtins, name, None)
    is_builtin = isinstance(base, type) and issubclass(base, Exception)
    made: Any = base if is_builtin else type(name, (Exception,), {"__module__": module})
    error: BaseException = made.__new__(made)
    error.args = (match["text"] or "",)
    return error


def _after_frames(text: str) -> str:
    """Return what follows the last line of code in a traceback: class and message."""
    lines = text.strip("\n").split("\n")
    if not any(line.startswith("Traceback (most recent call last)") for line in lines):
        return text.strip("\n")
    inside = [at for at, line in enumerate(lines) if line.startswith((" ", "Traceback"))]
    return "\n".join(lines[inside[-1] + 1 :]) if inside else text
