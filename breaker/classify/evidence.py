"""Gathers from one error or response all that says whether it is a rate limit."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from breaker.classify import tables
from breaker.classify.body import bodies, pairs
from breaker.classify.reading import attribute, fields

_STATUS_TEXT = re.compile(r"(\d{3})(?: [A-Za-z].*)?")
_LOWEST_STATUS = 100
_HIGHEST_STATUS = 599

# What counts of a longer text is at its start, or (where a traceback was printed) at its end:
# this many characters of each.
_MOST_TEXT = 4_096

# Where a body says in words what is wrong.
_MESSAGE_KEYS = frozenset(
    {
        "",
        "message",
        "msg",
        "detail",
        "details",
        "error",
        "errors",
        "error_description",
        "description",
        "title",
        "raw",
    }
)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one error or response says of itself.

    Attributes:
        error: the error or the response.
        classes: the names of its class and bases, the builtin ones left out.
        status: the HTTP status.
        codes: keys and codes, all in lower case.
        text: its message, and its body's.
        headers: header fields by lower-case name, for each place where there are some.
        pairs: every key and value of its bodies.
    """

    error: object
    classes: tuple[str, ...]
    status: int | None
    codes: frozenset[tuple[str, str]]
    text: str
    headers: tuple[dict[str, str], ...]
    pairs: tuple[tuple[str, Any], ...]

    @property
    def words(self) -> set[str]:
        """The codes without the keys they stood under."""
        return {code for _, code in self.codes}

    @property
    def keys(self) -> set[str]:
        """The keys of its bodies."""
        return {key for key, _ in self.pairs}

    def header(self, name: str) -> str | None:
        """Return a header field from the first place that has it."""
        return next((found[name] for found in self.headers if name in found), None)


def gather(error: object) -> Evidence:
    """Gather the evidence. Never raises."""
    responses = [response for response in _responses(error) if response is not None]
    found = tuple(_pairs(error, responses))
    headers = tuple(_headers(error, responses, found))
    classes = tuple(_classes(error))
    status = _status(error, responses, classes, has_headers=bool(headers or found))
    return Evidence(
        error=error,
        classes=classes,
        status=status,
        codes=frozenset(_codes(error, status, headers, found)),
        text=_shortened("\n".join(_texts(error, found))),
        headers=headers,
        pairs=found,
    )


def _responses(error: object) -> Iterator[object]:
    if not isinstance(error, BaseException):
        yield error
    for name in ("response", "raw_response", "resp", "meta"):
        yield attribute(error, name)


def _pairs(error: object, responses: list[object]) -> Iterator[tuple[str, Any]]:
    for body in bodies(error, responses):
        yield from pairs(body)


def _classes(error: object) -> Iterator[str]:
    for kind in type(error).__mro__:
        if kind.__module__ != "builtins":
            yield kind.__name__


# -- status


def _status(
    error: object, responses: list[object], classes: tuple[str, ...], *, has_headers: bool
) -> int | None:
    for candidate in _statuses(error, responses):
        status = as_status(candidate)
        if status is not None:
            return status
    # An integer `code` may be anything, unless the rest speaks of HTTP too.
    is_http = has_headers or responses or any(map(tables.HTTP_CLASS.search, classes))
    return as_status(attribute(error, "code")) if is_http else None


def _statuses(error: object, responses: list[object]) -> Iterator[Any]:
    for name in tables.STATUS_ATTRIBUTES:
        yield attribute(error, name)
    for response in responses:
        for name in tables.RESPONSE_STATUS_ATTRIBUTES:
            yield attribute(response, name)
        yield _item(_item(response, "ResponseMetadata"), "HTTPStatusCode")
        yield _item(response, "status")


def as_status(value: Any) -> int | None:
    """Return an HTTP status that is given as a number or as text; None for anything else."""
    if isinstance(value, str):
        match = _STATUS_TEXT.fullmatch(value)
        value = int(match[1]) if match else None
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return int(value) if _LOWEST_STATUS <= value <= _HIGHEST_STATUS else None


def _item(mapping: object, name: str) -> Any:
    return mapping.get(name) if isinstance(mapping, Mapping) else None


# -- headers


def _headers(
    error: object, responses: list[object], found: tuple[tuple[str, Any], ...]
) -> Iterator[dict[str, str]]:
    for container in _containers(error, responses, found):
        if container is not None:
            read = fields(container)
            if read:
                yield read


def _containers(
    error: object, responses: list[object], found: tuple[tuple[str, Any], ...]
) -> Iterator[Any]:
    yield attribute(error, "headers")
    yield attribute(error, "litellm_response_headers")
    for response in responses:
        yield attribute(response, "headers")
        yield _item(_item(response, "ResponseMetadata"), "HTTPHeaders")
    resp = attribute(error, "resp")  # httplib2's response is its own headers
    yield resp if isinstance(resp, Mapping) else None
    for key, value in found:  # quoted in a body (OpenRouter)
        if key == "headers" and isinstance(value, Mapping):
            yield value


# -- codes


def _codes(
    error: object,
    status: int | None,
    headers: tuple[dict[str, str], ...],
    found: tuple[tuple[str, Any], ...],
) -> Iterator[tuple[str, str]]:
    for name in tables.CODE_ATTRIBUTES:
        if name == "code" and status and isinstance(attribute(type(error), name), property):
            continue  # the status by another name, which warns of its end (aiohttp)
        code = _code(_named(attribute(error, name)))
        if code:
            yield name, code
    for key, value in found:
        code = _code(value) if key in tables.CODE_KEYS else ""
        if code:
            yield key, code
    for read in headers:
        kind = read.get("x-amzn-errortype", "").split(":")[0]
        if kind:
            yield "type", _code(kind)


def _named(value: Any) -> Any:
    # grpc's code() gives an enum's member.
    if callable(value) and not isinstance(value, type):
        try:
            return attribute(value(), "name")
        except Exception:  # noqa: BLE001 - a foreign method may raise anything
            return None
    return value


def _code(value: Any) -> str:
    if isinstance(value, int):
        return str(value)
    # AWS writes the namespace before the code.
    return value.rpartition("#")[2].lower() if isinstance(value, str) else ""


# -- text


def _texts(error: object, found: tuple[tuple[str, Any], ...]) -> Iterator[str]:
    if isinstance(error, BaseException):
        yield text_of(error)
    for key, value in found:
        if key in _MESSAGE_KEYS and isinstance(value, str):
            yield _shortened(value)
        elif key == "quotaid":
            yield _shortened(str(value))


def text_of(error: object) -> str:
    """Return what an error says when it is printed."""
    try:
        return _shortened(str(error))
    except Exception:  # noqa: BLE001 - a foreign class may refuse to be printed
        return ""


def _shortened(text: str) -> str:
    if len(text) <= 2 * _MOST_TEXT:
        return text
    return f"{text[:_MOST_TEXT]} ... {text[-_MOST_TEXT:]}"
