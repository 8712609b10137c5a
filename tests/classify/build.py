"""Builds live errors and responses from their descriptions in cases.json, without any SDK."""

import builtins
import json
from collections.abc import Mapping
from datetime import timedelta
from email.message import Message
from types import SimpleNamespace
from typing import Any

import httpx


def build(shape):
    """Build the exception that a case describes."""
    error = _new(shape)
    for name, value in shape.get("attrs", {}).items():
        _set(error, name, value)
    if "cause" in shape:
        error.__cause__ = build(shape["cause"])
    if "context" in shape:
        error.__context__ = build(shape["context"])
        error.__suppress_context__ = bool(shape.get("suppress_context"))
    if "cause_cycle" in shape:
        error.__cause__ = build(shape["cause_cycle"])
        error.__cause__.__cause__ = error
    return error


def _new(shape):
    if "group" in shape:
        return ExceptionGroup(
            shape.get("str") or "group", [build(each) for each in shape["group"]]
        )
    args = [_value(each) for each in shape.get("args", [shape.get("str", "")])]
    if "builtin" in shape:
        return getattr(builtins, shape["builtin"])(*args)
    if shape["class"] in dir(builtins) and not shape.get("module"):
        return getattr(builtins, shape["class"])(*args)
    kind = _class(shape)
    error = kind.__new__(kind)
    error.args = tuple(args)
    return error


def _class(shape):
    base = BaseException if shape.get("mro", [])[-1:] == ["BaseException"] else Exception
    for name in reversed(shape.get("mro", [])):
        known = getattr(builtins, name, None)
        base = known or type(name, (base,), {"__module__": shape["module"]})
    text = shape.get("str", "")
    body = {"__module__": shape["module"], "__str__": lambda _self: text}
    for name, value in shape.get("attrs", {}).items():
        if isinstance(value, dict) and "$raises" in value:
            body[name] = _raiser(value["$raises"])
    return type(shape["class"], (base,), body)


def _raiser(text):
    def fail(_self):
        raise RuntimeError(text)

    return property(fail)


def _set(error, name, value):
    if not (isinstance(value, dict) and "$raises" in value):
        try:
            setattr(error, name, _value(value))
        except AttributeError:  # a builtin's own, as HTTPError.headers
            error.__dict__[name] = _value(value)


def _value(given: Any) -> Any:
    if isinstance(given, list):
        return [_value(each) for each in given]
    if not isinstance(given, dict):
        return given
    for tag, make in _TAGS.items():
        if tag in given:
            return make(given)
    return {name: _value(each) for name, each in given.items()}


def _headers(given):
    pairs, kind = given["$headers"], given["kind"]
    if kind == "bytes_list":
        return [(name.encode(), value.encode()) for name, value in pairs.items()]
    if kind == "dict":
        return dict(pairs)
    if kind == "email":
        message = Message()
        for name, value in pairs.items():
            message[name] = value
        return message
    return httpx.Headers(pairs)  # as the others, it ignores the case of names


class _Response:
    def __init__(self, attributes):
        self.__dict__.update(attributes)


class _RequestsResponse(_Response):
    def __bool__(self):
        return self.status_code < 400


class _SlackResponse(_Response):
    def get(self, name, default=None):
        return self.data.get(name, default)

    def __getitem__(self, name):
        return self.data[name]


class _Unread(_Response):
    @property
    def text(self):
        raise RuntimeError("ResponseNotRead")

    content = text


def _response(given):
    shape = given["$response"]
    kind, status, text = shape["kind"], shape["status"], shape.get("text", "")
    headers = shape["headers"]
    if kind == "slack":
        return _SlackResponse(
            {"status_code": status, "headers": headers, "data": shape["data"]}
        )
    if kind == "aiohttp":
        return _Response({"status": status, "headers": httpx.Headers(headers)})
    if kind == "pyactiveresource":
        return _Response({"code": status, "headers": headers, "body": shape.get("body", text)})
    found = {"status_code": status, "headers": httpx.Headers(headers)}
    if kind == "azure":
        return _Response(found | {"text": lambda: text})
    if isinstance(text, dict):
        return _Unread(found)
    found |= {"text": text, "content": text.encode(), "json": lambda: json.loads(text)}
    return (_RequestsResponse if kind == "requests" else _Response)(found)


def _enum(given):
    _, member, value = given["$enum"]
    return SimpleNamespace(name=member, value=tuple(value))


def _httplib2(given):
    class Response(dict):
        status = int(given["$httplib2"]["status"])

    return Response(given["$httplib2"])


def _call(given):
    value = _value(given["$call"])
    return lambda: value


_TAGS: Mapping[str, Any] = {
    "$headers": _headers,
    "$response": _response,
    "$exc": lambda given: build(given["$exc"]),
    "$bytes": lambda given: given["$bytes"].encode(),
    "$timedelta": lambda given: timedelta(seconds=given["$timedelta"]),
    "$float": lambda given: float(given["$float"]),
    "$enum": _enum,
    "$call": _call,
    "$ns": lambda given: SimpleNamespace(**{k: _value(v) for k, v in given["$ns"].items()}),
    "$httplib2": _httplib2,
}
