"""One HTTP attempt: a permit to send it, or an answer of the breaker; then its report.

The steps are generators: they yield calls of the breaker, which the two drivers at the end make
or await. So each rule is written once, for clients that block and for those that are awaited.
"""

import json
import logging
import math
from collections.abc import Callable, Generator
from dataclasses import dataclass
from types import ModuleType
from typing import Any, TypeVar

from breaker.aio import AsyncBreaker
from breaker.errors import BreakerOpen, ConfigurationError, StoreError
from breaker.running import HOOKED
from breaker.sync import Breaker

_LOGGER = logging.getLogger("breaker")

T = TypeVar("T")
Steps = Generator[Any, Any, T]

TOO_MANY_REQUESTS = 429
ERRORS = 400
# Asks the SDKs of OpenAI's family not to sleep inside of the call, and then to ask again.
NO_RETRY = {"x-should-retry": "false"}
# Retry-After, in seconds, while only an operator can resume the queue.
NO_END = 60.0
# The body of an error is read this far to be classified, in bytes; the rest follows unread.
MOST_READ = 65_536


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of an open breaker: a 429 that carries the remaining wait."""

    headers: dict[str, str]
    body: bytes
    status: int = TOO_MANY_REQUESTS
    reason: str = "Too Many Requests"

    @classmethod
    def of(cls, refused: BreakerOpen) -> "Answer":
        """Make the answer to an attempt that the breaker refused."""
        wait = NO_END if refused.retry_after is None else refused.retry_after
        error = {
            "message": f"{refused}; this request was not sent",
            "type": "breaker_open",
            "code": "breaker_open",
        }
        body = json.dumps({"error": error}).encode()
        headers = {
            "content-type": "application/json",
            "content-length": str(len(body)),
            "x-breaker": "open",
            "retry-after": str(max(1, math.ceil(wait))),
            **NO_RETRY,
        }
        return cls(headers, body)


class Attempts:
    """The attempts of one client under one breaker.

    Args:
        breaker: a Breaker, or an AsyncBreaker for a client that is awaited.
        timeout: outside of a guard, how many seconds an attempt may wait for a permit while the
            breaker is open or paced; 0 answers at once, None waits for as long as it takes.
            Inside a guard of this breaker an attempt never waits.
        is_async: which of the two the client needs.

    Raises:
        ConfigurationError: naming what is wrong.
    """

    def __init__(self, breaker: Any, timeout: float | None, *, is_async: bool) -> None:
        wanted: type[Any] = AsyncBreaker if is_async else Breaker
        if not isinstance(breaker, wanted):
            name = wanted.__name__
            raise ConfigurationError([f"this client needs a breaker.{name}, not {breaker!r}"])
        is_number = isinstance(timeout, int | float) and not isinstance(timeout, bool)
        if timeout is not None and not (is_number and timeout >= 0):
            raise ConfigurationError(
                [f"timeout must be seconds from 0, or None, not {timeout!r}"]
            )
        self._breaker = breaker
        self._timeout = timeout
        HOOKED.add(breaker.identity)

    def begin(self) -> Steps["Attempt | Answer"]:
        """Acquire a permit for an attempt; return an Answer if it may not be sent."""
        breaker = self._breaker
        try:
            permit = breaker.attempt()
            if permit is None:
                permit = yield breaker.acquire(self._timeout)
            elif (yield breaker.is_paused()):
                return Answer.of((yield from self._refused()))
        except BreakerOpen as refused:
            return Answer.of(refused)
        return Attempt(breaker, permit)

    def _refused(self) -> Steps[BreakerOpen]:
        breaker = self._breaker
        state, left, epoch = "open", None, 0
        try:
            status = yield breaker.status()
            state, left, epoch = status.state, status.resumes_in, status.epoch
        except StoreError:
            left = NO_END  # the local breaker is open, and the store cannot say more
        return BreakerOpen(breaker.name, retry_after=left, epoch=epoch, state=state)


class Attempt:
    """An attempt that may be sent. It is reported once, and the report never fails the call."""

    __slots__ = ("_breaker", "_permit")

    def __init__(self, breaker: Any, permit: Any) -> None:
        self._breaker = breaker
        self._permit = permit

    def answered(self, status: int, headers: Any, response: object) -> Steps[bool]:
        """Report what the upstream answered, and learn from its headers.

        Args:
            status: the answer's status.
            headers: the answer's headers.
            response: what the classifier reads.

        Returns:
            Whether this was a rate limit error after which the queue is paused.
        """
        permit = self._permit
        limit = self._breaker.rules(response) if status >= ERRORS else None
        if limit:
            after = yield from _kept(
                lambda: permit.rate_limited(limit.retry_after, kind=limit.kind)
            )
            return after is not None and after.is_paused
        yield from _kept(lambda: self._breaker.observe(headers))
        yield from _kept(permit.success if status < ERRORS else permit.release)
        return False

    def during(self, steps: Steps[T]) -> Steps[T]:
        """Send the attempt; if that fails, nothing was answered and nothing counts."""
        try:
            return (yield from steps)
        except GeneratorExit:
            raise  # the process ends: nothing can be sent any more
        except BaseException:
            yield from self.failed()
            raise

    def failed(self) -> Steps[None]:
        """Release the permit: no answer came, which is no evidence about limits."""
        yield from _kept(self._permit.release)


def _kept(call: Callable[[], Any]) -> Steps[Any]:
    """Make a call of the breaker; a store that fails does not fail the attempt."""
    try:
        return (yield call())
    except StoreError:
        _LOGGER.exception("an HTTP attempt could not be reported")
        return None


def at_least(library: ModuleType, oldest: str) -> None:
    """Check a client's version.

    Raises:
        ConfigurationError: it is older than the hook needs.
    """
    installed, name = library.__version__, library.__name__
    if _release(installed) < _release(oldest):
        message = f"{name} {installed} is too old for its hook: install {oldest} or newer"
        raise ConfigurationError([message])


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2])


class End:
    """What a client's iterator answers when there is nothing left to read."""


END = End()


@dataclass(frozen=True, slots=True)
class Start:
    """The start of a body. `failure` is what ended the reading early, for its reader to meet."""

    parts: tuple[bytes, ...]
    is_whole: bool = False
    failure: Exception | None = None


def read_start(advance: Callable[[], Any]) -> Steps[Start]:
    """Read the start of an error's body, which tells a quota from a rate limit."""
    parts: list[bytes] = []
    size = 0
    try:
        while size < MOST_READ:
            part = yield advance()
            if part is END:
                return Start(tuple(parts), is_whole=True)
            parts.append(part)
            size += len(part)
    except Exception as failure:  # noqa: BLE001 - the reader of the body gets it
        return Start(tuple(parts), failure=failure)
    return Start(tuple(parts))


def run(steps: Steps[T]) -> T:
    """Make the steps of a client that blocks."""
    result = None
    try:
        while True:
            result = steps.send(result)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return] # the type of Steps' return value


async def run_async(steps: Steps[T]) -> T:
    """Make the steps of a client that is awaited."""
    try:
        step = steps.send(None)
        while True:
            try:
                result = await step
            except GeneratorExit:
                raise
            except BaseException as error:  # noqa: BLE001 - a cancelled attempt releases its permit
                step = steps.throw(error)
            else:
                step = steps.send(result)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return] # the type of Steps' return value
