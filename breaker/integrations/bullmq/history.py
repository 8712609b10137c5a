"""Reads what happened to a queue's jobs from BullMQ's stream of events, and counts it.

Each job has a permit from its start to its end, as in a worker, so that a late result is known for
one, and a recovering fleet is seen to use its slots.
"""

import asyncio
import contextlib
import json
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bullmq import Queue

from breaker import AsyncBreaker, AsyncPermit, BreakerOpen, Status, StoreError
from breaker.integrations.bullmq.failure import Failure

# Seconds after which an error says nothing of the upstream any more; a bridge that was down reads
# what happened meanwhile.
TOO_OLD = 60.0
# Jobs that are kept in memory.
MOST = 10_000
# Seconds that a job's slot may come late: the job runs already.
PATIENCE = 2.0

_PAUSED = frozenset({"paused", "resumed"})


@dataclass(frozen=True)
class Attempt:
    """An attempt of a job that failed."""

    number: int
    reason: str
    stack: str


class History:
    """What happens to one queue's jobs.

    Args:
        queue: BullMQ's own.
        breaker: the breaker that gets the reports.
        keep_failed: is called with each job that a rate limit failed for good.
    """

    def __init__(
        self, queue: Queue, breaker: AsyncBreaker, keep_failed: Callable[[str], Awaitable[None]]
    ) -> None:
        self._queue = queue
        self._client: Any = queue.client
        self._breaker = breaker
        self._permits: OrderedDict[str, asyncio.Task[AsyncPermit | None]] = OrderedDict()
        self._attempts: OrderedDict[str, int] = OrderedDict()
        self._last: str | None = None
        self._keep_failed = keep_failed

    async def tell(
        self, event: Mapping[str, str], following: Mapping[str, str], age: float
    ) -> Status | None:
        """Tell the breaker of an event.

        Args:
            event: its fields.
            following: those of the event after it.
            age: how many seconds ago it happened.

        Returns:
            The breaker's state, if it was told of an error.
        """
        kind, job = event.get("event"), event.get("jobId", "")
        if kind == "active":
            self._begin(job)
        elif kind == "completed":
            self._attempts.pop(job, None)
            if permit := await self._permit(job):
                await permit.report()
        elif kind == "failed":
            final = await self._final(job, event, following)
            return await self._failed(job, final, age, is_final=True)
        elif kind == "delayed" or (kind == "waiting" and event.get("prev") == "active"):
            return await self._failed(job, await self._attempt(job), age)
        return None

    @staticmethod
    def is_stop(event: Mapping[str, str]) -> bool:
        """Whether the queue was paused or resumed."""
        return event.get("event") in _PAUSED

    def close(self) -> None:
        """Forget the jobs that run."""
        for task in self._permits.values():
            task.cancel()
        self._permits.clear()

    # -- attempts

    async def _failed(
        self, job: str, attempt: Attempt | None, age: float, *, is_final: bool = False
    ) -> Status | None:
        permit = await self._permit(job)
        if permit is None:
            return None
        if attempt is None or self._attempts.get(job) == attempt.number or age > TOO_OLD:
            await permit.release()  # the worker itself put it back, or it is known, or too old
            return None
        _keep(self._attempts, job, attempt.number)
        failure = Failure(attempt.reason, attempt.stack)
        error_id = f"{self._queue.name}:{job}:{attempt.number}"
        if await permit.report(failure, error_id=error_id) and is_final:
            await self._keep_failed(job)
        return permit.status

    async def _attempt(self, job: str) -> Attempt | None:
        """The last attempt that failed, as it stands on the job."""
        fields = ("atm", "failedReason", "stacktrace")
        made, reason, stacks = await self._client.hmget(self._queue.toKey(job), *fields)
        if not made or reason is None:
            return None
        return Attempt(int(made), reason, _last(stacks))

    async def _final(
        self, job: str, event: Mapping[str, str], following: Mapping[str, str]
    ) -> Attempt:
        """The attempt that failed for good; the job may have been removed with it."""
        reason = event.get("failedReason", "")
        kept = await self._attempt(job)
        if kept:
            return Attempt(kept.number, reason, kept.stack)
        if following.get("jobId") == job and (made := following.get("attemptsMade")):
            return Attempt(int(made), reason, "")
        return Attempt(self._attempts.get(job, 0) + 1, reason, "")

    # -- permits

    def _begin(self, job: str) -> None:
        _keep(self._permits, job, asyncio.create_task(self._acquire()))

    async def _acquire(self) -> AsyncPermit | None:
        try:
            permit = await self._breaker.acquire(timeout=PATIENCE)
        except (BreakerOpen, StoreError):
            return None
        self._last = permit.export()
        return permit

    async def _permit(self, job: str) -> AsyncPermit | None:
        """The permit of a job that has ended.

        One that started in the pause, or has no slot yet, has the last one's: an older epoch's
        result changes nothing. None: the bridge came in the pause, and knows of no other epoch.
        """
        task = self._permits.pop(job, None)
        if task is not None:
            await asyncio.sleep(0)  # where no command is needed, the permit comes at once
            if task.done() and (permit := task.result()):
                return permit
            task.cancel()
        if self._last is not None:
            return self._breaker.permit(self._last)
        with contextlib.suppress(BreakerOpen, StoreError):
            return await self._breaker.acquire(timeout=0)
        return None


def _keep(kept: OrderedDict[str, Any], job: str, value: Any) -> None:
    kept[job] = value
    kept.move_to_end(job)
    if len(kept) > MOST:
        kept.popitem(last=False)


def _last(stacks: str | None) -> str:
    with contextlib.suppress(ValueError, IndexError, TypeError):
        return str(json.loads(stacks or "[]")[-1])
    return ""
