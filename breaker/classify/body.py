"""Reads the bodies of foreign errors and responses, as far as they are in memory already.

A property that would fetch the rest of a stream is left alone: to classify an error touches no
network.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from inspect import iscoroutinefunction
from typing import Any

from breaker.classify.reading import attribute
from breaker.classify.tables import ECHO_KEYS

# Errors are shorter than this, in characters; what is longer is an answer.
MOST_BODY = 65_536
# Errors have fewer values than this, and are less deep.
MOST_VALUES = 1_000
DEEPEST = 12

_OWN = (
    "body",
    "json_body",
    "http_body",
    "data",
    "details",
    "content",
    "errors",
    "extensions",
    "response_body",
    "detail",
)
_OF_RESPONSE = ("data", "_body", "content", "body", "text")

_XML_CODE = re.compile(r"<(Code|Message)>([^<]{1,500})</")


def bodies(error: object, responses: Iterable[object]) -> Iterator[Any]:
    """Yield what an error and its responses have as a body: parsed, or as text."""
    for name in _OWN if isinstance(error, BaseException) else ():
        yield from _parsed(_value(error, name))
    for response in responses:
        yield from _of_response(response)


def _of_response(response: object) -> Iterator[Any]:
    if isinstance(response, Mapping):
        yield response
        return
    if _is_unread(response):
        return
    for name in _OF_RESPONSE:
        found = list(_parsed(_value(response, name)))
        if found:
            yield from found
            return


def _is_unread(response: object) -> bool:
    # requests fetches the body when `content` is read, urllib3 when `data` is.
    inner = attribute(response, "internal_response")
    if attribute(response, "_content") is False or attribute(inner, "_content") is False:
        return True
    is_urllib3 = attribute(response, "_fp") is not None
    return is_urllib3 and attribute(response, "_body") is None


def _value(carrier: object, name: str) -> Any:
    value = attribute(carrier, name)
    if not callable(value):
        return value
    # grpc's details() and azure's text() are methods.
    if name not in {"details", "text"} or iscoroutinefunction(value):
        return None
    try:
        return value()
    except Exception:  # noqa: BLE001 - a foreign method may raise anything
        return None


def _parsed(value: Any) -> Iterator[Any]:
    if isinstance(value, bytes | bytearray):
        value = bytes(value[:MOST_BODY]).decode("utf-8", "replace")
    if isinstance(value, str):
        if value:
            yield parsed(value)
    elif isinstance(value, list | tuple | Mapping):
        yield value


def parsed(text: str) -> Any:
    """Return what a text says as JSON or as AWS's XML; else the text."""
    stripped = text.strip() if len(text) <= MOST_BODY else ""
    if stripped[:1] in {"{", "["}:
        try:
            return json.loads(stripped)
        except Exception:  # noqa: BLE001 - RecursionError among them
            return text
    if stripped.startswith("<"):
        return dict(_XML_CODE.findall(stripped)) or text
    return text


def pairs(value: Any) -> list[tuple[str, Any]]:
    """List every key and value in a body, the keys in lower case; bounded in number and depth."""
    found: list[tuple[str, Any]] = []
    _walk("", value, DEEPEST, found)
    return found


def _walk(key: str, value: Any, depth: int, found: list[tuple[str, Any]]) -> None:
    if len(found) >= MOST_VALUES or depth == 0:
        return
    found.append((key, value))
    if isinstance(value, Mapping):
        for name, inner in list(value.items())[:MOST_VALUES]:
            below = str(name).lower()
            if below not in ECHO_KEYS:
                _walk(below, inner, depth - 1, found)
    elif isinstance(value, list | tuple):
        for inner in value[:MOST_VALUES]:
            _walk(key, inner, depth - 1, found)
    elif isinstance(value, str):
        # OpenRouter quotes the provider's JSON as a string.
        inner = parsed(value) if value[:1] in {"{", "["} else value
        if inner is not value:
            _walk(key, inner, depth - 1, found)
    elif attribute(value, "retry_delay") is not None:
        found.append(("retry_delay", attribute(value, "retry_delay")))
