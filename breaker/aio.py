"""AsyncBreaker: the face for asyncio, and the four functions of `breaker.queues`, awaited."""

import asyncio
import logging
import random
import time
import uuid
from collections.abc import Awaitable, Callable, Generator, Mapping
from functools import wraps
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar, Unpack

from breaker.alerts import tell
from breaker.classify import rate_limit
from breaker.config import configured
from breaker.defaults import Defaults
from breaker.errors import ConfigurationError, StoreError
from breaker.model import Grant, Status, Transition
from breaker.protocol.plans import Plans
from breaker.protocol.requests import Request
from breaker.protocol.wire import Reply
from breaker.push import Watch
from breaker.settings import Options
from breaker.store.fallback import Fallback
from breaker.store.outage import outage_of
from breaker.store.run_async import AsyncStore
from breaker.tally import Worker

_LOGGER = logging.getLogger("breaker")

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class AsyncPermit:
    """Leave to run one job. Report its result once; what comes after the first is ignored."""

    __slots__ = ("_breaker", "_grant", "_is_open", "_own_id")

    def __init__(self, breaker: "AsyncBreaker", grant: Grant) -> None:
        self._breaker = breaker
        self._grant = grant
        self._is_open = True
        self._own_id = ""

    @property
    def id(self) -> str:
        """What its error counts as, if no other id is given."""
        if self._grant.id:
            return self._grant.id
        if not self._own_id:
            self._own_id = uuid.uuid4().hex
        return self._own_id

    @property
    def epoch(self) -> int:
        """The number of the last pause before it."""
        return self._grant.epoch

    @property
    def is_probe(self) -> bool:
        """Whether the recovery hangs on it."""
        return self._grant.is_probe

    async def success(self) -> None:
        """The job went through: ends the run of errors, closes a recovering breaker."""
        if self._is_open:
            self._is_open = False
            await self._breaker._succeeded(self._grant)  # noqa: SLF001 - one class in two

    async def rate_limited(
        self, retry_after: float | None = None, *, error_id: str | None = None
    ) -> Status | None:
        """The upstream said "slow down", and perhaps for how many seconds."""
        if not self._is_open:
            return None
        self._is_open = False
        return await self._breaker._limited(  # noqa: SLF001 - one class in two
            retry_after, error_id or self.id, self._grant
        )

    async def release(self) -> None:
        """Neither: another error, which says nothing about the upstream's limits."""
        if self._is_open and self._grant.is_probe:
            await self._breaker._released(self._grant)  # noqa: SLF001 - one class in two
        self._is_open = False


class AsyncGuard(AsyncPermit):
    """A permit that is acquired on entering, and reported on leaving by what came of it.

    The two are one object, and what both do while all is quiet stands here without a detour, for
    this is what every job pays.
    """

    __slots__ = ("_error_id", "_timeout")

    def __init__(
        self, breaker: "AsyncBreaker", timeout: float | None, error_id: str | None
    ) -> None:
        self._breaker = breaker
        self._timeout = timeout
        self._error_id = error_id

    async def __aenter__(self) -> AsyncPermit:
        breaker = self._breaker
        watch = breaker._watch  # noqa: SLF001 - one class in two
        grant = watch.grant() if watch is not None and self._timeout is None else None
        if grant is None:
            grant = await breaker._asked_grant(self._timeout)  # noqa: SLF001 - one class in two
        self._grant = grant
        self._is_open = True
        self._own_id = ""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        watch = self._breaker._watch  # noqa: SLF001 - one class in two
        if error is None and self._is_open and watch is not None and watch.is_quiet():
            self._is_open = False
            watch.meter.done += 1
        else:
            await self._report(error)

    async def _report(self, error: BaseException | None) -> None:
        limited = rate_limit(error) if error is not None else None
        try:
            if error is None:
                await self.success()
            elif limited and limited.kind == "rate_limit":
                await self.rate_limited(limited.retry_after, error_id=self._error_id)
            else:
                await self.release()
        except StoreError:
            # The job has its own result by now, which a report must not replace.
            _LOGGER.exception("%s: a result could not be reported", self._breaker.name)


class AsyncBreaker:
    """The guard over one queue, shared by every worker that names it.

    Args:
        name: the queue, 1 to 200 characters.
        url: where Redis or Valkey is (default: the environment's BREAKER_URL, else localhost).
        redis: a redis-py client to take the connection data from, instead of `url`.
        prefix: what all keys begin with.
        worker: who this is in the evidence and for `min_workers` (default: host and process id,
            which forked children have from their parent: together they are one worker).
        push: hear of changes by push and answer from memory while that is fresh (at most 2 s
            old); False asks the store each time.
        on_store_failure: what a worker goes by while the store is down: "local", a breaker of its
            own with the same settings; "open", paused; "closed", running; "raise".
        **options: see `breaker.settings.Options`; they become the whole fleet's.

    Raises:
        ConfigurationError: naming everything that is wrong.
    """

    def __init__(
        self,
        name: str,
        *,
        url: str | None = None,
        redis: Any = None,
        prefix: str = "breaker",
        worker: str | None = None,
        push: bool = True,
        on_store_failure: str = "local",
        **options: Unpack[Options],
    ) -> None:
        config = configured(
            name,
            url=url,
            redis=redis,
            prefix=prefix,
            worker=worker,
            on_store_failure=on_store_failure,
            options=options,
        )
        self.name = name
        self._watch = (
            Watch(config.target, config.channel, self._view, self._probe) if push else None
        )
        self._plans = Plans(
            config.keys,
            config.channel,
            config.worker,
            config.settings,
            watch=self._watch,
            clock=time.monotonic,
            random=random.random,
        )
        fallback = Fallback(
            config.on_store_failure, self._plans.last_known, config.keys.seen("probe")
        )
        outage = outage_of(config.target)
        self._store = AsyncStore(config.target, tell, outage, fallback)
        self._worker = Worker(name, config.on_store_failure, outage, self._watch)

    # -- workers

    async def is_paused(self) -> bool:
        """Whether the queue may not be read now: the check before dequeue."""
        if self._watch is not None:
            if self._watch.runs():
                return False
            if self._watch.paused_left() is not None:
                return True
        return await self._run(self._plans.is_paused())

    async def wait(self, timeout: float | None = None) -> bool:
        """Return True when the queue may be read again, False after `timeout` seconds."""
        # After each dequeue the processor's caches are cold: a plan, short as it is, would cost
        # five times what it costs in a loop of its own. With a timeout it has one to check.
        if self._watch is not None and timeout is None and self._watch.runs():
            return True
        with self._worker.waiting():
            return await self._run(self._plans.wait(timeout))

    async def acquire(self, timeout: float | None = None) -> AsyncPermit:
        """Wait for leave to run one job.

        Raises:
            BreakerOpen: none within `timeout` seconds; 0 never waits.
        """
        # With a timeout the plan has it to check, and looks itself.
        watch = self._watch
        grant = watch.grant() if watch is not None and timeout is None else None
        if grant is None:
            grant = await self._asked_grant(timeout)
        return AsyncPermit(self, grant)

    def guard(self, timeout: float | None = None, *, error_id: str | None = None) -> AsyncGuard:
        """Acquire, run the block, report what came of it; its exception passes untouched.

        Args:
            timeout: seconds to wait for the permit; BreakerOpen after that.
            error_id: what the same failure is called elsewhere, should it be reported twice.
        """
        return AsyncGuard(self, timeout, error_id)

    def __call__(self, function: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
        """AsyncGuard every call of a function."""

        @wraps(function)
        async def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            async with self.guard():
                return await function(*args, **kwargs)

        return guarded

    async def record_rate_limit_error(
        self, retry_after: float | None = None, error_id: str | None = None
    ) -> Status:
        """Report that the upstream said "slow down".

        Args:
            retry_after: for how many seconds, if it said so.
            error_id: a name for this failure; reported again within a minute it counts once.
        """
        return await self._limited(retry_after, error_id, None)

    async def record_success(self) -> None:
        """Report that a job went through."""
        await self._succeeded(None)

    async def observe(self, response: Any) -> bool:
        """Learn from the headers of a response how much the upstream still allows.

        Once a tenth of an allowance is left (ten calls, where the whole is not told), the fleet is
        paced so that it lasts: before the first 429. A command is sent only then.

        Args:
            response: anything with `headers`, or the headers themselves.

        Returns:
            Whether this has slowed the fleet down.
        """
        return await self._run(self._plans.observe(response))

    # -- everybody

    @property
    def staleness(self) -> float | None:
        """Seconds since what was pushed was last proven; None: the store is asked each time.

        At most 2: what is older is not trusted. None in an outage too, whatever is gone by then.
        """
        return self._worker.staleness

    async def status(self) -> Status:
        """Read the whole state from the store."""
        return await self._run(self._plans.status())

    async def events(self, limit: int = 100) -> list[Transition]:
        """Read the last transitions, the oldest first."""
        return await self._run(self._plans.events(limit))

    def subscribe(self, callback: Callable[[Status], None]) -> Callable[[], None]:
        """Call back with the present state, then with every change; returns what ends that.

        The calls come from the thread that feeds all of this process's breakers: be quick, and
        hand on what takes time. Needs `push`.
        """
        if self._watch is None:
            raise ConfigurationError(["subscribe needs push=True"])
        return self._watch.subscribe(callback, self._plans.status_of)

    # -- operators

    async def pause(
        self, seconds: float | None = None, reason: str = "", by: str = ""
    ) -> Status:
        """Stop the queue, for so many seconds or until it is resumed."""
        return await self._run(self._plans.pause(seconds, reason, by))

    async def resume(self, by: str = "", reason: str = "") -> Status:
        """End a pause or a recovery: closed, nothing counted."""
        return await self._run(self._plans.order("resume", reason, by))

    async def reset(self, by: str = "", reason: str = "") -> Status:
        """Start afresh: closed and enabled, nothing counted, no back-off; totals stay."""
        return await self._run(self._plans.order("reset", reason, by))

    async def disable(self, by: str = "", reason: str = "") -> Status:
        """Never trip until enabled; errors still count."""
        return await self._run(self._plans.order("disable", reason, by))

    async def enable(self, by: str = "", reason: str = "") -> Status:
        """Put a disabled breaker back on guard."""
        return await self._run(self._plans.order("enable", reason, by))

    async def configure(self, changes: Mapping[str, Any], by: str = "") -> Status:
        """Set options for the whole fleet, over what workers declare; None takes one back."""
        return await self._run(self._plans.configure(changes, by))

    # -- life

    async def close(self) -> None:
        """Close the running loop's connections, and end the push where nobody else uses it."""
        self._worker.leave()
        if self._watch is not None:
            await asyncio.to_thread(self._watch.close)
        await self._store.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    async def _asked_grant(self, timeout: float | None) -> Grant:
        with self._worker.waiting():
            return await self._run(self._plans.acquire(timeout))

    async def _succeeded(self, grant: Grant | None) -> None:
        if self._plans.has_to_be_told(grant):
            await self._run(self._plans.success(grant))

    async def _limited(
        self, retry_after: float | None, error_id: str | None, grant: Grant | None
    ) -> Status:
        return await self._run(self._plans.rate_limit_error(retry_after, error_id, grant))

    async def _released(self, grant: Grant) -> None:
        await self._run(self._plans.release(grant))

    def _probe(self) -> Generator[Request, Any, None]:
        return self._plans.probe()

    def _view(self) -> Generator[Request, Any, Reply]:
        return self._plans.view()

    async def _run(self, plan: Generator[Request, Any, T]) -> T:
        return await self._store.run(plan)


_defaults = Defaults(AsyncBreaker)


async def record_queue_rate_limit_error(
    queue_name: str, retry_after: float | None = None, error_id: str | None = None
) -> Status:
    """Count a rate limit error of a queue; at the threshold in a row the queue is paused."""
    return await _defaults[queue_name].record_rate_limit_error(retry_after, error_id)


async def record_queue_success(queue_name: str) -> None:
    """A job of the queue went through: its count starts again."""
    await _defaults[queue_name].record_success()


async def get_queue_circuit_status(queue_name: str) -> Status:
    """The state of a queue's breaker."""
    return await _defaults[queue_name].status()


async def is_queue_paused(queue_name: str) -> bool:
    """Whether the queue may not be read now: the check before dequeue."""
    return await _defaults[queue_name].is_paused()
