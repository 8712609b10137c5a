"""An adapter for requests: `session.mount("https://", Adapter(content))`."""

import io
from typing import Any

import requests.adapters
import urllib3
from urllib3.exceptions import DecodeError, HTTPError, MaxRetryError
from urllib3.util.request import set_file_position

from breaker.http.attempts import (
    END,
    ERRORS,
    Answer,
    Attempts,
    Start,
    Steps,
    at_least,
    read_start,
    run,
)
from breaker.sync import Breaker

OLDEST = "1.26"
# How much of a body is read at once, in bytes.
CHUNK = 16_384


class Adapter(requests.adapters.HTTPAdapter):
    """Puts a breaker before an adapter's connections: each attempt counts, repeated ones too.

    Args:
        breaker: a Breaker.
        timeout: outside of a guard, how many seconds a request may wait for a permit while the
            breaker is open or paced; 0 answers at once, None waits for as long as it takes.
        **options: what `requests.adapters.HTTPAdapter` takes, as `max_retries`.

    Raises:
        ConfigurationError: naming what is wrong.
    """

    def __init__(
        self, breaker: Breaker, *, timeout: float | None = 0.0, **options: Any
    ) -> None:
        at_least(urllib3, OLDEST)
        self._attempts = Attempts(breaker, timeout, is_async=False)
        super().__init__(**options)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pools, and watch them."""
        super().init_poolmanager(*args, **kwargs)
        _watch(self.poolmanager, self._attempts)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        """Make the pools for a proxy, and watch them."""
        manager = super().proxy_manager_for(*args, **kwargs)
        _watch(manager, self._attempts)
        return manager


def _watch(manager: Any, attempts: Attempts) -> None:
    """Make a manager's new pools go through the breaker."""
    manager.pool_classes_by_scheme = {
        scheme: kind if issubclass(kind, _Watched) else _watched(kind, attempts)
        for scheme, kind in manager.pool_classes_by_scheme.items()
    }


def _watched(kind: type[Any], attempts: Attempts) -> type[Any]:
    return type(kind.__name__, (_Watched, kind), {"attempts": attempts})


class _Watched:
    """A pool of urllib3 whose attempts, the first and those that repeat it, ask the breaker."""

    attempts: Attempts

    def urlopen(
        self,
        method: str,
        url: str,
        body: Any = None,
        headers: Any = None,
        retries: Any = None,
        **more: Any,
    ) -> Any:
        """Send a request, and repeat it as `retries` says: urllib3's loop, an attempt each."""
        retries = urllib3.Retry.from_int(retries)
        position = more.pop("body_pos", None)
        while True:
            position = set_file_position(body, position)
            sending = {"body": body, "headers": headers, "body_pos": position, **more}
            try:
                response = run(self._exchange(method, url, sending))
            except HTTPError as error:
                retries = retries.increment(method, url, error=error, _pool=self)
                retries.sleep()
                continue
            is_ours = response.headers.get("x-breaker") == "open"
            has_wait = "retry-after" in response.headers
            if is_ours or not retries.is_retry(method, response.status, has_wait):
                return response
            try:
                retries = retries.increment(method, url, response=response, _pool=self)
            except MaxRetryError:
                if retries.raise_on_status:
                    response.drain_conn()
                    raise
                return response
            response.drain_conn()
            retries.sleep(response)

    def _exchange(self, method: str, url: str, sending: dict[str, Any]) -> Steps[Any]:
        attempt = yield from self.attempts.begin()
        if isinstance(attempt, Answer):
            return _answer(attempt)
        response, readable = yield from attempt.during(self._fetch(method, url, sending))
        yield from attempt.answered(response.status, response.headers, readable)
        return response

    def _fetch(self, method: str, url: str, sending: dict[str, Any]) -> Steps[tuple[Any, Any]]:
        """Send one request; of an error read the body's start, too, and put it back."""
        send: Any = super().urlopen  # type: ignore[misc] # the pool that it is mixed into
        response = yield send(method, url, retries=False, **sending)
        if response.status < ERRORS or sending.get("preload_content", True):
            return response, response
        start = yield from read_start(lambda: response.read(CHUNK, decode_content=False) or END)
        return _replay(response, start), _readable(response, start)


def _answer(answer: Answer) -> Any:
    return urllib3.HTTPResponse(
        io.BytesIO(answer.body),
        headers=answer.headers,
        status=answer.status,
        reason=answer.reason,
        version=11,
        preload_content=False,
    )


def _readable(response: Any, start: Start) -> Any:
    """Make of the start of a body a response that the classifier can read."""
    body = io.BytesIO(b"".join(start.parts))
    try:
        return urllib3.HTTPResponse(body, headers=response.headers, status=response.status)
    except DecodeError:  # cut off in the middle of something compressed
        return response


def _replay(response: Any, start: Start) -> Any:
    """Make a response of the start and what is still to be read."""
    whole = io.BytesIO(b"".join(start.parts))
    return urllib3.HTTPResponse(
        whole if start.is_whole else _Joined(whole, start, response),
        headers=response.headers,
        status=response.status,
        reason=response.reason,
        version=response.version,
        preload_content=False,
        decode_content=False,
        original_response=response._original_response,  # noqa: SLF001 - where requests finds cookies
        retries=response.retries,
        request_method=getattr(response, "_request_method", None),
    )


class _Joined(io.RawIOBase):
    """The start of a body, then the rest from the connection."""

    def __init__(self, start: io.BytesIO, read: Start, rest: Any) -> None:
        self._begin = start
        self._failure = read.failure
        self._rest = rest

    def read(self, amount: int | None = -1) -> bytes:
        """Read from the start as long as there is some of it."""
        part = self._begin.read(amount)
        if part and amount is not None and amount >= 0:
            return part
        if self._failure:
            raise self._failure
        whole = amount is None or amount < 0
        rest: bytes = self._rest.read(None if whole else amount, decode_content=False)
        return part + rest

    def close(self) -> None:
        """Close the connection too."""
        self._rest.close()
        super().close()
