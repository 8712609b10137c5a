"""Breaker: the face for code that blocks. Its twin is `breaker.aio`; both only drive plans."""

import random
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec, Self, TypeVar, Unpack, cast

from breaker.alerts import tell
from breaker.classify import rate_limit
from breaker.config import configured
from breaker.model import Grant, Status, Transition
from breaker.protocol.plans import Plans, Request
from breaker.settings import Options
from breaker.store.run_sync import SyncStore

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
Plan = Generator[Request, Any, Any]


class Permit:
    """Leave to run one job. Report its result once; what comes after the first is ignored."""

    def __init__(self, plans: Plans, run: Callable[[Plan], Any], grant: Grant) -> None:
        self._plans = plans
        self._run = run
        self._grant: Grant | None = grant
        self.id = grant.id
        self.epoch = grant.epoch
        self.is_probe = grant.is_probe

    def success(self) -> None:
        """The job went through: ends the run of errors, closes a recovering breaker."""
        if grant := self._take():
            self._run(self._plans.success(grant))

    def rate_limited(
        self, retry_after: float | None = None, *, error_id: str | None = None
    ) -> Status | None:
        """The upstream said "slow down", and perhaps for how many seconds."""
        if grant := self._take():
            plan = self._plans.rate_limit_error(retry_after, error_id, grant)
            return cast(Status, self._run(plan))
        return None

    def release(self) -> None:
        """Neither: another error, which says nothing about the upstream's limits."""
        if grant := self._take():
            self._run(self._plans.release(grant))

    def _take(self) -> Grant | None:
        grant, self._grant = self._grant, None
        return grant


class Breaker:
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
        self._store = SyncStore(config.target, tell)

    # -- workers

    def is_paused(self) -> bool:
        """Whether the queue may not be read now: the check before dequeue."""
        return self._run(self._plans.is_paused())

    def wait(self, timeout: float | None = None) -> bool:
        """Return True when the queue may be read again, False after `timeout` seconds."""
        return self._run(self._plans.wait(timeout))

    def acquire(self, timeout: float | None = None) -> Permit:
        """Wait for leave to run one job.

        Raises:
            BreakerOpen: none within `timeout` seconds; 0 never waits.
        """
        return Permit(self._plans, self._run, self._run(self._plans.acquire(timeout)))

    @contextmanager
    def guard(
        self, timeout: float | None = None, *, error_id: str | None = None
    ) -> Iterator[Permit]:
        """Acquire, run the block, report what came of it; its exception passes untouched.

        Args:
            timeout: seconds to wait for the permit; BreakerOpen after that.
            error_id: what the same failure is called elsewhere, should it be reported twice.
        """
        permit = self.acquire(timeout)
        try:
            yield permit
        except BaseException as error:
            limited = rate_limit(error)
            if limited and limited.kind == "rate_limit":
                permit.rate_limited(limited.retry_after, error_id=error_id)
            else:
                permit.release()
            raise
        permit.success()

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Guard every call of a function."""

        @wraps(function)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            with self.guard():
                return function(*args, **kwargs)

        return guarded

    def record_rate_limit_error(
        self, retry_after: float | None = None, error_id: str | None = None
    ) -> Status:
        """Report that the upstream said "slow down".

        Args:
            retry_after: for how many seconds, if it said so.
            error_id: a name for this failure; reported again within a minute it counts once.
        """
        return self._run(self._plans.rate_limit_error(retry_after, error_id))

    def record_success(self) -> None:
        """Report that a job went through."""
        self._run(self._plans.success())

    # -- everybody

    def status(self) -> Status:
        """Read the whole state from the store."""
        return self._run(self._plans.status())

    def events(self, limit: int = 100) -> list[Transition]:
        """Read the last transitions, the oldest first."""
        return self._run(self._plans.events(limit))

    # -- operators

    def pause(self, seconds: float | None = None, reason: str = "", by: str = "") -> Status:
        """Stop the queue, for so many seconds or until it is resumed."""
        return self._run(self._plans.pause(seconds, reason, by))

    def resume(self, by: str = "", reason: str = "") -> Status:
        """End a pause or a recovery: closed, nothing counted."""
        return self._run(self._plans.order("resume", reason, by))

    def reset(self, by: str = "", reason: str = "") -> Status:
        """Start afresh: closed and enabled, nothing counted, no back-off; totals stay."""
        return self._run(self._plans.order("reset", reason, by))

    def disable(self, by: str = "", reason: str = "") -> Status:
        """Never trip until enabled; errors still count."""
        return self._run(self._plans.order("disable", reason, by))

    def enable(self, by: str = "", reason: str = "") -> Status:
        """Put a disabled breaker back on guard."""
        return self._run(self._plans.order("enable", reason, by))

    def configure(self, changes: Mapping[str, Any], by: str = "") -> Status:
        """Set options for the whole fleet, over what workers declare; None takes one back."""
        return self._run(self._plans.configure(changes, by))

    # -- life

    def close(self) -> None:
        """Close the connections."""
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _run(self, plan: Generator[Request, Any, T]) -> T:
        return self._store.run(plan)
