"""Breaker: the face for code that blocks. `breaker.aio` is the same, awaited."""

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from breaker import running
from breaker.classify import Kind, RateLimit
from breaker.decorate import blocking
from breaker.errors import BreakerError, BreakerOpen
from breaker.face import Face, FaceGuard, FacePermit, Plan, goes_back
from breaker.model import Grant, Status, Transition
from breaker.running import HOOKED, Place
from breaker.store.run_sync import SyncStore

P = ParamSpec("P")
R = TypeVar("R")
J = TypeVar("J")
T = TypeVar("T")


class Permit(FacePermit["Breaker"]):
    """Permission to run one job. Report one result; later reports are ignored."""

    __slots__ = ()

    def success(self) -> None:
        """The job went through: ends the run of errors, closes a recovering breaker."""
        if plan := self._success():
            self._breaker._run(plan)  # noqa: SLF001 - one class in two

    def rate_limited(
        self,
        retry_after: float | None = None,
        *,
        error_id: str | None = None,
        kind: Kind = "rate_limit",
    ) -> Status | None:
        """The upstream said "slow down", and perhaps for how many seconds."""
        if plan := self._rate_limited(retry_after, error_id, kind):
            self._status = self._breaker._run(plan)  # noqa: SLF001 - one class in two
            return self._status
        return None

    def release(self) -> None:
        """Give the permit back without a result, for example after another kind of error."""
        if plan := self._release():
            self._breaker._run(plan)  # noqa: SLF001 - one class in two

    def unused(self) -> None:
        """Give the permit back because no job came for it: others may use its slot or its probe."""
        if plan := self._unused():
            self._breaker._run(plan)  # noqa: SLF001 - one class in two

    def is_current(self) -> bool:
        """Whether the permit still holds: False after a pause, a newer epoch, a revoked slot.

        Answered from memory while push is fresh; else the store is asked.
        """
        breaker = self._breaker
        return breaker._run(breaker._plans.is_current(self._grant))  # noqa: SLF001 - one class in two

    def report(
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
                self._status = self._breaker._run(plan)  # noqa: SLF001 - one class in two
        except Exception as failure:  # noqa: BLE001 - nothing of ours takes the job's place
            self._was_not_reported(failure)
        return limited


class Guard(FaceGuard["Breaker"], Permit):
    """A permit that is acquired on entering, and reported on leaving by what came of it."""

    __slots__ = ()

    def __enter__(self) -> Permit:
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
                grant = breaker._asked_grant(self._timeout, outer)  # noqa: SLF001 - one class in two
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

    def __exit__(
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
            self.report(error, error_id=self._error_id)


class Breaker(Face[SyncStore]):
    """The guard over one queue, shared by every worker that names it; for code that blocks."""

    _driver = SyncStore

    def is_paused(self) -> bool:
        """Whether the queue may not be read now: the check before dequeue."""
        if self._watch is not None:
            if self._watch.runs():
                return False
            if self._watch.paused_left() is not None:
                return True
        return self._run(self._plans.is_paused())

    def wait(self, timeout: float | None = None) -> bool:
        """Return True when the queue may be read again, False after `timeout` seconds."""
        # After each dequeue the processor's caches are cold: a plan, short as it is, would cost
        # five times what it costs in a loop of its own. A timeout must be checked by the plan.
        if self._watch is not None and timeout is None and self._watch.runs():
            return True
        with self._worker.waiting():
            return self._run(self._plans.wait(timeout))

    def acquire(self, timeout: float | None = None) -> Permit:
        """Wait for a permit to run one job.

        Raises:
            BreakerOpen: no permit within `timeout` seconds; 0 never waits.
        """
        grant = self._known_grant(timeout)
        if grant is None:
            grant = self._asked_grant(timeout)
        return Permit(self, grant)

    def permit(self, text: str) -> Permit:
        """Read a permit that `permit.export()` wrote, perhaps in another process. Sends no command.

        Raises:
            ConfigurationError: the text is not a permit.
        """
        return Permit(self, self._imported(text))

    def attempt(self) -> Permit | None:
        """For HTTP hooks: a permit for one attempt of the job that runs here, None without a job.

        Each attempt's result is reported when it is known; the job's guard then adds nothing.
        """
        leave = self._leave_to_try()
        return Permit(self, *leave) if leave else None

    def guard(self, timeout: float | None = None, *, error_id: str | None = None) -> Guard:
        """Acquire, run the block, report what came of it; its exception passes untouched.

        Args:
            timeout: seconds to wait for the permit; BreakerOpen after that.
            error_id: an id for this failure; if it is reported again under the same id within
                60 s, it counts once.
            kind: "overload", or "quota", which pauses at once for `quota_pause` seconds.
        """
        return Guard(self, timeout, error_id)

    def work(
        self,
        take: Callable[[], J | None],
        do: Callable[[J], object],
        put_back: Callable[[J], object],
        on_error: Callable[[J, Exception], object] | None = None,
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
        while self.wait():
            job = take()
            if job is None:
                return
            try:
                permit = self.acquire(timeout=0)
            except BreakerOpen:
                put_back(job)
                continue
            try:
                with permit.running():
                    do(job)
            except Exception as error:
                if goes_back(error, permit.report(error), permit.status):
                    put_back(job)
                elif on_error is None:
                    raise
                else:
                    on_error(job, error)
            except BaseException as interruption:
                permit.report(interruption)
                put_back(job)
                raise
            else:
                permit.report()

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Guard every call of a function, or a generator for as long as it runs.

        Raises:
            ConfigurationError: it is a function of another kind.
        """
        guarded: Callable[P, R] = blocking(self.guard, function)
        return guarded

    def record_rate_limit_error(
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
        return self._run(self._plans.rate_limit_error(retry_after, error_id, kind=kind))

    def record_success(self) -> None:
        """Report that a job went through."""
        if self._plans.has_to_be_told(None):
            self._run(self._plans.success())

    def observe(self, response: Any) -> bool:
        """Learn from the headers of a response how much the upstream still allows.

        If a tenth of the allowance is left (ten calls if the headers give no limit), the fleet is
        paced so that the rest lasts until the reset. Only then is a command sent.

        Args:
            response: anything with `headers`, or the headers themselves.

        Returns:
            Whether this has slowed the fleet down.
        """
        return self._run(self._plans.observe(response))

    def status(self) -> Status:
        """Read the whole state from the store."""
        return self._run(self._plans.status())

    def events(self, limit: int = 100) -> list[Transition]:
        """Read the last transitions, the oldest first."""
        return self._run(self._plans.events(limit))

    def pause(self, seconds: float | None = None, reason: str = "", by: str = "") -> Status:
        """Stop the queue, for a number of seconds or until it is resumed."""
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
        """Re-enable a disabled breaker."""
        return self._run(self._plans.order("enable", reason, by))

    def configure(self, changes: Mapping[str, Any], by: str = "") -> Status:
        """Override options for the whole fleet; None removes an override."""
        return self._run(self._plans.configure(changes, by))

    def forget(self) -> bool:
        """End this breaker's life: its keys and its place in the list go. Was there one?"""
        return self._run(self._plans.asker.forget())

    def close(self) -> None:
        """Close the connections and end the push, where no other breaker uses them.

        In asyncio: the running loop's connections.
        """
        self._store.call_blocking(self._leave)
        self._store.close()

    def __enter__(self) -> Self:
        return self._enter()

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _asked_grant(self, timeout: float | None, outer: Place | None = None) -> Grant:
        try:
            with self._worker.waiting():
                return self._run(self._leave_to_run(timeout, outer))
        except BreakerError:
            raise
        except BaseException:  # interrupted, while the store may have given a lease
            if self._plans.line.lost:
                self._store.give_up(self._plans.hand_in())
            raise

    def _run(self, plan: Plan[T]) -> T:
        return self._store.run(plan)
