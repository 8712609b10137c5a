"""AsyncBreaker: the face for asyncio, and the functions of `breaker.queues`, awaited."""

from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from breaker import running
from breaker.classify import Kind, RateLimit
from breaker.decorate import awaited
from breaker.defaults import Defaults
from breaker.errors import BreakerError, BreakerOpen
from breaker.face import Face, FaceGuard, FacePermit, Plan, goes_back
from breaker.model import Grant, Status, Transition
from breaker.running import HOOKED, Place
from breaker.store.run_async import AsyncStore

P = ParamSpec("P")
R = TypeVar("R")
J = TypeVar("J")
T = TypeVar("T")


class AsyncPermit(FacePermit["AsyncBreaker"]):
    """Permission to run one job. Report one result; later reports are ignored."""

    __slots__ = ()

    async def success(self) -> None:
        """The job went through: ends the run of errors, closes a recovering breaker."""
        if plan := self._success():
            await self._breaker._run(plan)  # noqa: SLF001 - one class in two

    async def rate_limited(
        self,
        retry_after: float | None = None,
        *,
        error_id: str | None = None,
        kind: Kind = "rate_limit",
    ) -> Status | None:
        """The upstream said "slow down", and perhaps for how many seconds."""
        if plan := self._rate_limited(retry_after, error_id, kind):
            self._status = await self._breaker._run(plan)  # noqa: SLF001 - one class in two
            return self._status
        return None

    async def release(self) -> None:
        """Give the permit back without a result, for example after another kind of error."""
        if plan := self._release():
            await self._breaker._run(plan)  # noqa: SLF001 - one class in two

    async def unused(self) -> None:
        """Give the permit back because no job came for it: others may use its slot or its probe."""
        if plan := self._unused():
            await self._breaker._run(plan)  # noqa: SLF001 - one class in two

    async def is_current(self) -> bool:
        """Whether the permit still holds: False after a pause, a newer epoch, a revoked slot.

        Answered from memory while push is fresh; else the store is asked.
        """
        breaker = self._breaker
        return await breaker._run(breaker._plans.is_current(self._grant))  # noqa: SLF001 - one class in two

    async def report(
        self, error: BaseException | None = None, *, error_id: str | None = None
    ) -> RateLimit | None:
        """Report what came of the job, as a guard does; nothing is raised.

        Args:
            error: what the job raised; None: it went through.
            error_id: an id for this failure, if it is known elsewhere by one.

        Returns:
            What the classifier makes of the error; None if it is not a rate limit.
        """
        limited = self._breaker.rules(error) if error is not None else None
        try:
            if plan := self._result(limited, error, error_id):
                self._status = await self._breaker._run(plan)  # noqa: SLF001 - one class in two
        except Exception as failure:  # noqa: BLE001 - nothing of ours takes the job's place
            self._was_not_reported(failure)
        return limited


class AsyncGuard(FaceGuard["AsyncBreaker"], AsyncPermit):
    """A permit that is acquired on entering, and reported on leaving by what came of it."""

    __slots__ = ()

    async def __aenter__(self) -> AsyncPermit:
        if self._is_entered:
            raise self._entered_twice()
        self._is_entered = True
        breaker = self._breaker
        watch = breaker._watch  # noqa: SLF001 - one class in two
        grant = watch.grant() if watch is not None and self._timeout is None else None
        self._place = None
        if grant is None:
            outer = running.find(breaker.identity)
            try:
                grant = await breaker._asked_grant(self._timeout, outer)  # noqa: SLF001 - one class in two
            except BaseException:
                self._is_entered = False
                raise
            self._place = running.begin(self, is_inner=outer is not None)
        elif HOOKED:
            self._place = running.begin(self)
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
        self._is_entered = False
        if self._place is not None:
            running.end(self._place)
        watch = self._breaker._watch  # noqa: SLF001 - one class in two
        if error is None and self._is_open and watch is not None and watch.is_quiet():
            self._is_open = False
            watch.meter.done += 1
        else:
            await self.report(error, error_id=self._error_id)


class AsyncBreaker(Face[AsyncStore]):
    """The guard over one queue, shared by every worker that names it; for asyncio."""

    _driver = AsyncStore

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
        # five times what it costs in a loop of its own. A timeout must be checked by the plan.
        if self._watch is not None and timeout is None and self._watch.runs():
            return True
        with self._worker.waiting():
            return await self._run(self._plans.wait(timeout))

    async def acquire(self, timeout: float | None = None) -> AsyncPermit:
        """Wait for a permit to run one job.

        Raises:
            BreakerOpen: no permit within `timeout` seconds; 0 never waits.
        """
        grant = self._known_grant(timeout)
        if grant is None:
            grant = await self._asked_grant(timeout)
        return AsyncPermit(self, grant)

    def permit(self, text: str) -> AsyncPermit:
        """Read a permit that `permit.export()` wrote, perhaps in another process. Sends no command.

        Raises:
            ConfigurationError: the text is not a permit.
        """
        return AsyncPermit(self, self._imported(text))

    def attempt(self) -> AsyncPermit | None:
        """For HTTP hooks: a permit for one attempt of the job that runs here, None without a job.

        Each attempt's result is reported when it is known; the job's guard then adds nothing.
        """
        leave = self._leave_to_try()
        return AsyncPermit(self, *leave) if leave else None

    def guard(self, timeout: float | None = None, *, error_id: str | None = None) -> AsyncGuard:
        """Acquire, run the block, report what came of it; its exception passes untouched.

        Args:
            timeout: seconds to wait for the permit; BreakerOpen after that.
            error_id: an id for this failure; if it is reported again under the same id within
                60 s, it counts once.
            kind: "overload", or "quota", which pauses at once for `quota_pause` seconds.
        """
        return AsyncGuard(self, timeout, error_id)

    async def work(
        self,
        take: Callable[[], Awaitable[J | None]],
        do: Callable[[J], Awaitable[object]],
        put_back: Callable[[J], Awaitable[object]],
        on_error: Callable[[J, Exception], Awaitable[object]] | None = None,
    ) -> None:
        """Take jobs from a queue and do them until it is empty; a rate limited job goes back.

        Args:
            take: returns the next job, or None to end the loop. It is called only while the queue
                may be read.
            do: does a job. What it raises is classified and reported.
            put_back: puts a job back: one that was rate limited, or interrupted, or not begun
                because the queue was paused while `take` waited for it.
            on_error: is called with a job and its exception, if that is not a rate limit; without
                it the exception ends the loop.
        """
        while await self.wait():
            job = await take()
            if job is None:
                return
            try:
                permit = await self.acquire(timeout=0)
            except BreakerOpen:
                await put_back(job)
                continue
            try:
                with permit.running():
                    await do(job)
            except Exception as error:
                if goes_back(error, await permit.report(error), permit.status):
                    await put_back(job)
                elif on_error is None:
                    raise
                else:
                    await on_error(job, error)
            except BaseException as interruption:
                await permit.report(interruption)
                await put_back(job)
                raise
            else:
                await permit.report()

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Guard every call of an async function, or an async generator for as long as it runs.

        Raises:
            ConfigurationError: it is a function of another kind.
        """
        guarded: Callable[P, R] = awaited(self.guard, function)
        return guarded

    async def record_rate_limit_error(
        self,
        retry_after: float | None = None,
        error_id: str | None = None,
        *,
        kind: Kind = "rate_limit",
    ) -> Status:
        """Report that the upstream said "slow down".

        Args:
            retry_after: for how many seconds, if it said so.
            error_id: an id for this failure; if it is reported again under the same id within
                60 s, it counts once.
            kind: "overload", or "quota", which pauses at once for `quota_pause` seconds.
        """
        return await self._run(self._plans.rate_limit_error(retry_after, error_id, kind=kind))

    async def record_success(self) -> None:
        """Report that a job went through."""
        if self._plans.has_to_be_told(None):
            await self._run(self._plans.success())

    async def observe(self, response: Any) -> bool:
        """Learn from the headers of a response how much the upstream still allows.

        If a tenth of the allowance is left (ten calls if the headers give no limit), the fleet is
        paced so that the rest lasts until the reset. Only then is a command sent.

        Args:
            response: anything with `headers`, or the headers themselves.

        Returns:
            Whether this has slowed the fleet down.
        """
        return await self._run(self._plans.observe(response))

    async def status(self) -> Status:
        """Read the whole state from the store."""
        return await self._run(self._plans.status())

    async def events(self, limit: int = 100) -> list[Transition]:
        """Read the last transitions, the oldest first."""
        return await self._run(self._plans.events(limit))

    async def pause(
        self, seconds: float | None = None, reason: str = "", by: str = ""
    ) -> Status:
        """Stop the queue, for a number of seconds or until it is resumed."""
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
        """Re-enable a disabled breaker."""
        return await self._run(self._plans.order("enable", reason, by))

    async def configure(self, changes: Mapping[str, Any], by: str = "") -> Status:
        """Override options for the whole fleet; None removes an override."""
        return await self._run(self._plans.configure(changes, by))

    async def forget(self) -> bool:
        """End this breaker's life: its keys and its place in the list go. Was there one?"""
        return await self._run(self._plans.asker.forget())

    async def close(self) -> None:
        """Close the connections and end the push, where no other breaker uses them.

        In asyncio: the running loop's connections.
        """
        await self._store.call_blocking(self._leave)
        await self._store.close()

    async def __aenter__(self) -> Self:
        return self._enter()

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    async def _asked_grant(self, timeout: float | None, outer: Place | None = None) -> Grant:
        try:
            with self._worker.waiting():
                return await self._run(self._leave_to_run(timeout, outer))
        except BreakerError:
            raise
        except BaseException:  # interrupted, while the store may have given a lease
            if self._plans.line.lost:
                self._store.give_up(self._plans.hand_in())
            raise

    async def _run(self, plan: Plan[T]) -> T:
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
