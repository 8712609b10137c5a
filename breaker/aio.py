"""AsyncBreaker: the face for asyncio, and the four functions of `breaker.queues`, awaited."""

import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Mapping
from contextlib import asynccontextmanager
from functools import wraps
from typing import Any, ParamSpec, Self, TypeVar, Unpack, cast

from breaker.alerts import tell
from breaker.classify import rate_limit
from breaker.config import configured
from breaker.defaults import Defaults
from breaker.model import Grant, Status, Transition
from breaker.protocol.plans import Plans, Request
from breaker.settings import Options
from breaker.store.run_async import AsyncStore

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
Plan = Generator[Request, Any, Any]


class AsyncPermit:
    """Leave to run one job. Report its result once; what comes after the first is ignored."""

    def __init__(
        self, plans: Plans, run: Callable[[Plan], Awaitable[Any]], grant: Grant
    ) -> None:
        self._plans = plans
        self._run = run
        self._grant: Grant | None = grant
        self.id = grant.id
        self.epoch = grant.epoch
        self.is_probe = grant.is_probe

    async def success(self) -> None:
        """The job went through: ends the run of errors, closes a recovering breaker."""
        if grant := self._take():
            await self._run(self._plans.success(grant))

    async def rate_limited(
        self, retry_after: float | None = None, *, error_id: str | None = None
    ) -> Status | None:
        """The upstream said "slow down", and perhaps for how many seconds."""
        if grant := self._take():
            plan = self._plans.rate_limit_error(retry_after, error_id, grant)
            return cast(Status, await self._run(plan))
        return None

    async def release(self) -> None:
        """Neither: another error, which says nothing about the upstream's limits."""
        if grant := self._take():
            await self._run(self._plans.release(grant))

    def _take(self) -> Grant | None:
        grant, self._grant = self._grant, None
        return grant


class AsyncBreaker:
    """The guard over one queue, shared by every worker that names it.

    Args:
        name: the queue, 1 to 200 characters.
        url: where Redis or Valkey is (default: the environment's BREAKER_URL, else localhost).
        redis: a redis-py client to take the connection data from, instead of `url`.
        prefix: what all keys begin with.
        worker: who this is in the evidence (default: host and process id).
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
        **options: Unpack[Options],
    ) -> None:
        config = configured(
            name, url=url, redis=redis, prefix=prefix, worker=worker, options=options
        )
        self.name = name
        self._plans = Plans(
            config.keys,
            config.channel,
            config.worker,
            config.settings,
            clock=time.monotonic,
            random=random.random,
        )
        self._store = AsyncStore(config.target, tell)

    # -- workers

    async def is_paused(self) -> bool:
        """Whether the queue may not be read now: the check before dequeue."""
        return await self._run(self._plans.is_paused())

    async def wait(self, timeout: float | None = None) -> bool:
        """Return True when the queue may be read again, False after `timeout` seconds."""
        return await self._run(self._plans.wait(timeout))

    async def acquire(self, timeout: float | None = None) -> AsyncPermit:
        """Wait for leave to run one job.

        Raises:
            BreakerOpen: none within `timeout` seconds; 0 never waits.
        """
        return AsyncPermit(
            self._plans, self._run, await self._run(self._plans.acquire(timeout))
        )

    @asynccontextmanager
    async def guard(
        self, timeout: float | None = None, *, error_id: str | None = None
    ) -> AsyncIterator[AsyncPermit]:
        """Acquire, run the block, report what came of it; its exception passes untouched.

        Args:
            timeout: seconds to wait for the permit; BreakerOpen after that.
            error_id: what the same failure is called elsewhere, should it be reported twice.
        """
        permit = await self.acquire(timeout)
        try:
            yield permit
        except BaseException as error:
            limited = rate_limit(error)
            if limited and limited.kind == "rate_limit":
                await permit.rate_limited(limited.retry_after, error_id=error_id)
            else:
                await permit.release()
            raise
        await permit.success()

    def __call__(self, function: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
        """Guard every call of a coroutine function."""

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
        return await self._run(self._plans.rate_limit_error(retry_after, error_id))

    async def record_success(self) -> None:
        """Report that a job went through."""
        await self._run(self._plans.success())

    # -- everybody

    async def status(self) -> Status:
        """Read the whole state from the store."""
        return await self._run(self._plans.status())

    async def events(self, limit: int = 100) -> list[Transition]:
        """Read the last transitions, the oldest first."""
        return await self._run(self._plans.events(limit))

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
        """Close the running loop's connections."""
        await self._store.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

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
