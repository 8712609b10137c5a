"""A middleware for aiohttp: `ClientSession(middlewares=[middleware(content)])`."""

import asyncio
import inspect
import warnings
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import aiohttp
from multidict import CIMultiDict, CIMultiDictProxy

from breaker.aio import AsyncBreaker
from breaker.http.attempts import (
    END,
    ERRORS,
    Answer,
    Attempts,
    Start,
    Steps,
    at_least,
    read_start,
    run_async,
)

OLDEST = "3.12"  # the first that has middlewares
# How much an answer's stream may hold, in bytes.
LIMIT = 65_536

Handler = Callable[[Any], Awaitable[Any]]


def middleware(breaker: AsyncBreaker, *, timeout: float | None = 0.0) -> Callable[..., Any]:
    """Make a middleware that puts a breaker before a session: each request is one attempt.

    Args:
        breaker: an AsyncBreaker.
        timeout: outside of a guard, how many seconds a request may wait for a permit while the
            breaker is open or paced; 0 answers at once, None waits for as long as it takes.

    Raises:
        ConfigurationError: naming what is wrong.
    """
    at_least(aiohttp, OLDEST)
    attempts = Attempts(breaker, timeout, is_async=True)

    async def breaker_middleware(request: Any, handler: Handler) -> Any:
        return await run_async(_exchange(attempts, request, handler))

    return breaker_middleware


def _exchange(attempts: Attempts, request: Any, handler: Handler) -> Steps[Any]:
    attempt = yield from attempts.begin()
    if isinstance(attempt, Answer):
        return _answer(request, attempt)
    response, readable = yield from attempt.during(_fetch(request, handler))
    yield from attempt.answered(response.status, response.headers, readable)
    return response


def _fetch(request: Any, handler: Handler) -> Steps[tuple[Any, Any]]:
    """Send a request; of an error read the body's start, too, and put it back."""
    response = yield handler(request)
    if response.status < ERRORS:
        return response, response
    try:
        start = yield from read_start(lambda: _advance(response))
    except BaseException:
        response.close()
        raise
    _put_back(response, start)
    content = b"".join(start.parts)
    readable = SimpleNamespace(
        status=response.status, headers=response.headers, content=content
    )
    return response, readable


async def _advance(response: Any) -> Any:
    return await response.content.readany() or END


def _put_back(response: Any, start: Start) -> None:
    body = b"".join(start.parts)
    if start.is_whole:
        response.content = _stream(body)
    elif body:
        with warnings.catch_warnings():
            # There is no other way to give back a part of a body.
            warnings.simplefilter("ignore", DeprecationWarning)
            response.content.unread_data(body)


def _stream(body: bytes) -> Any:
    loop = asyncio.get_running_loop()
    protocol = aiohttp.base_protocol.BaseProtocol(loop)
    stream = aiohttp.StreamReader(protocol, LIMIT, loop=loop)
    stream.feed_data(body)
    stream.feed_eof()
    return stream


def _answer(request: Any, answer: Answer) -> Any:
    """Make a response that was never on a connection."""
    kind = request.response_class
    given = {
        "writer": None,
        "continue100": None,
        "timer": None,
        "request_info": request.request_info,
        "traces": [],
        "loop": request.loop,
        "session": request.session,
        "stream_writer": SimpleNamespace(output_size=0),
    }
    takes = inspect.signature(kind.__init__).parameters
    known = {name: value for name, value in given.items() if name in takes}
    response = kind(request.method, request.url, **known)
    headers = CIMultiDict(answer.headers)
    response.version, response.status, response.reason = (
        aiohttp.HttpVersion11,
        429,
        answer.reason,
    )
    response._headers = CIMultiDictProxy(headers)  # noqa: SLF001 - only a connection can set it
    response._raw_headers = tuple((k.encode(), v.encode()) for k, v in headers.items())  # noqa: SLF001
    response.content = _stream(answer.body)
    return response
