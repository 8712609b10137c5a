"""Transports for httpx and its successor httpx2.

OpenAI(http_client=httpx.Client(transport=Transport(content)))
"""

import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from functools import lru_cache, partial
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, Self

from breaker.aio import AsyncBreaker
from breaker.http.attempts import (
    END,
    ERRORS,
    NO_RETRY,
    Answer,
    Attempts,
    Start,
    Steps,
    at_least,
    read_start,
    run,
    run_async,
)
from breaker.sync import Breaker

if TYPE_CHECKING:
    import httpx
else:
    try:
        import httpx
    except ModuleNotFoundError:  # an SDK may have brought the successor alone
        import httpx2 as httpx


OLDEST = "0.25"


class _Hook:
    """What both transports have in common: the steps of one request, without I/O."""

    _default: str  # the class of the transport that is wrapped if none is given
    _send: str
    _close: str
    _advance: Callable[[Any], Callable[[], Any]]
    _replay: Any

    def __init__(self, attempts: Attempts, wrapped: Any) -> None:
        at_least(httpx, OLDEST)
        self._attempts = attempts
        self._wrapped = wrapped
        self._lock = threading.Lock()

    def _exchange(self, request: Any) -> Steps[Any]:
        attempt = yield from self._attempts.begin()
        if isinstance(attempt, Answer):
            return _answer(request, attempt)
        response, readable = yield from attempt.during(self._fetch(request))
        if (yield from attempt.answered(response.status_code, response.headers, readable)):
            # The queue waits now; an SDK that sleeps would hold the job and its worker as well.
            response.headers.update(NO_RETRY)
        return response

    def _fetch(self, request: Any) -> Steps[tuple[Any, Any]]:
        """Send a request; of an error read the body's start, too, and put it back."""
        response = yield getattr(self._transport(request), self._send)(request)
        if response.status_code < ERRORS or hasattr(response, "_content"):
            return response, response
        stream = response.stream
        advance = self._advance(stream)
        try:
            start = yield from read_start(advance)
        except BaseException:
            yield getattr(stream, self._close)()
            raise
        replay = _stream(_library(response), self._replay)
        response.stream = replay(start, stream, advance)
        return response, _readable(response, start)

    def _transport(self, request: Any) -> Any:
        # Only a request tells which of httpx and httpx2 is asking.
        with self._lock:
            if self._wrapped is None:
                self._wrapped = getattr(_library(request), self._default)()
            return self._wrapped


def _library(message: Any) -> ModuleType:
    return sys.modules[type(message).__module__.partition(".")[0]]


def _answer(request: Any, answer: Answer) -> Any:
    return _library(request).Response(
        answer.status, headers=answer.headers, content=answer.body, request=request
    )


def _readable(response: Any, start: Start) -> Any:
    """Make of the start of a body a response that the classifier can read."""
    library, content = _library(response), b"".join(start.parts)
    try:
        return library.Response(response.status_code, headers=response.headers, content=content)
    except library.DecodingError:  # cut off in the middle of something compressed
        return response


# -- streams of which the start has been read


class _Start:
    def __init__(self, start: Start, stream: Any, advance: Callable[[], Any]) -> None:
        self._start = start
        self._rest = stream
        self._advance = advance

    def _begin(self) -> Iterator[bytes]:
        yield from self._start.parts
        if self._start.failure:
            raise self._start.failure


class _Replay(_Start):
    def __iter__(self) -> Iterator[bytes]:
        yield from self._begin()
        if not self._start.is_whole:
            yield from iter(self._advance, END)

    def close(self) -> None:
        self._rest.close()


class _AsyncReplay(_Start):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self._begin():
            yield part
        while not self._start.is_whole and (part := await self._advance()) is not END:
            yield part

    async def aclose(self) -> None:
        await self._rest.aclose()


@lru_cache
def _stream(library: ModuleType, kind: Any) -> Any:
    """Give a stream the base that the client's library checks for."""
    base = library.SyncByteStream if kind is _Replay else library.AsyncByteStream
    return type(kind.__name__, (kind, base), {})


def _next(stream: Any) -> Callable[[], Any]:
    return partial(next, iter(stream), END)


def _anext(stream: Any) -> Callable[[], Any]:
    return partial(anext, aiter(stream), END)


# -- the two transports


class Transport(_Hook, httpx.BaseTransport):
    """Puts a breaker before a transport of httpx or httpx2: each request is one attempt.

    Args:
        breaker: a Breaker.
        wrapped: the transport that sends, for example `httpx.HTTPTransport(http2=True)`; by
            default a new one without options.
        timeout: outside of a guard, how many seconds a request may wait for a permit while the
            breaker is open or paced; 0 answers at once, None waits for as long as it takes.

    Raises:
        ConfigurationError: naming what is wrong.
    """

    _default, _send, _close = "HTTPTransport", "handle_request", "close"
    _advance, _replay = staticmethod(_next), _Replay

    def __init__(
        self, breaker: Breaker, wrapped: Any = None, *, timeout: float | None = 0.0
    ) -> None:
        super().__init__(Attempts(breaker, timeout, is_async=False), wrapped)

    def handle_request(self, request: Any) -> Any:
        """Send a request, or answer it without sending it."""
        return run(self._exchange(request))

    def close(self) -> None:
        """Close the wrapped transport."""
        if self._wrapped is not None:
            self._wrapped.close()

    def __enter__(self) -> Self:
        if self._wrapped is not None:
            self._wrapped.__enter__()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        if self._wrapped is not None:
            self._wrapped.__exit__(exc_type, exc_value, traceback)


class AsyncTransport(_Hook, httpx.AsyncBaseTransport):
    """The same for an AsyncBreaker and an `AsyncClient`.

    Args:
        breaker: an AsyncBreaker.
        wrapped: the transport that sends; by default a new `AsyncHTTPTransport`.
        timeout: as in `Transport`.

    Raises:
        ConfigurationError: naming what is wrong.
    """

    _default, _send, _close = "AsyncHTTPTransport", "handle_async_request", "aclose"
    _advance, _replay = staticmethod(_anext), _AsyncReplay

    def __init__(
        self, breaker: AsyncBreaker, wrapped: Any = None, *, timeout: float | None = 0.0
    ) -> None:
        super().__init__(Attempts(breaker, timeout, is_async=True), wrapped)

    async def handle_async_request(self, request: Any) -> Any:
        """Send a request, or answer it without sending it."""
        return await run_async(self._exchange(request))

    async def aclose(self) -> None:
        """Close the wrapped transport."""
        if self._wrapped is not None:
            await self._wrapped.aclose()

    async def __aenter__(self) -> Self:
        if self._wrapped is not None:
            await self._wrapped.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        if self._wrapped is not None:
            await self._wrapped.__aexit__(exc_type, exc_value, traceback)
