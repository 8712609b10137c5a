"""One phase as it runs: its upstream, its fleet, its jobs, and the counts of all three.

Each phase has its own upstream, fleet and database, so that nothing is counted twice.
"""

import contextlib
import json
import time
from typing import Any, Self

import redis

from breaker import Breaker, State, Status, StoreUnavailable, Transition
from breaker.demo.children import START, Child, ChildFailedError, stop_all
from breaker.demo.frameworks import broker
from breaker.demo.frameworks.job import BEGUN, CONTENT, OTHER, READY
from breaker.demo.jobs import call_upstream, fetch, other_work
from breaker.demo.ledger import Ledger, MarkedLedger
from breaker.demo.picture import Calls, Outcome, Picture, Second
from breaker.demo.plan import Phase, Plan


class Stage:
    """A phase as a context manager: everything runs inside, nothing outside.

    Args:
        plan: the options.
        phase: which part of the run.
        url: an empty database.
    """

    def __init__(self, plan: Plan, phase: Phase, url: str) -> None:
        self.phase = phase
        self._plan = plan
        self._url = url
        self._names = tuple(f"w{number + 1}" for number in range(plan.workers))
        self._connection = redis.Redis.from_url(url)
        self._content, self._other = self._ledger(CONTENT), self._ledger(OTHER)
        self._breaker: Breaker | None = None
        if phase.has_breaker:
            self._breaker = Breaker(CONTENT, url=url, worker="demo", **plan.settings)
        self._status: Status | None = None
        self._transitions: tuple[Transition, ...] = ()
        self._children: list[Child] = []
        self._fleet: list[Child] = []
        self._upstream = ""
        self._started = 0.0
        self._course = Course()
        self._paused = Paused()
        self._recovering = Recovering()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as undo:
            undo.callback(self._close)
            hints = ["--no-hints"] if self._plan.cooldown is not None else []
            upstream = self._start("upstream", "--rate", str(self._plan.rate), *hints)
            self._upstream = upstream.first_line()
            settings = json.dumps(self._plan.settings if self._breaker else None)
            self._fleet = [
                self._start("worker", name, self._plan.framework, self._url, settings)
                for name in self._names
            ]
            self._await_fleet()
            self._started = time.monotonic()
            undo.pop_all()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._close()

    @property
    def elapsed(self) -> float:
        """Seconds since the fleet was ready."""
        return time.monotonic() - self._started

    def feed(self) -> None:
        """Enqueue the jobs that are due by now."""
        elapsed = self.elapsed
        while self._content.enqueued < elapsed * self._plan.demand:
            url = f"{self._upstream}/content?job={self._content.enqueued + 1}"
            self._content.enqueue(call_upstream, {"url": url})
        while self._other.enqueued < elapsed * self._plan.other_demand:
            self._other.enqueue(other_work, {})

    def spend_ahead(self) -> None:
        """Let other clients use up the allowance of the shortage."""
        fetch(f"{self._upstream}/spend-ahead?seconds={self._plan.shortage}", "POST")

    def look(self) -> Picture:
        """Take a picture of the present moment.

        Raises:
            ChildFailedError: a process has ended by itself.
        """
        for child in self._children:
            child.check()
        calls = self._calls()
        self._content.settle()
        self._other.settle()
        self._ask_breaker()
        begun: dict[Any, Any] = self._connection.hgetall(BEGUN)
        self._course.add(self.elapsed, calls, begun)
        if self._status:
            self._paused.see(self._status, calls.calls, self._other.done)
            self._recovering.see(self._status, calls.limited)
        return Picture(
            phase=self.phase,
            elapsed=self.elapsed,
            workers=self._names,
            calls=calls,
            content=self._content.glance(),
            other=self._other.glance(),
            status=self._status,
            transitions=self._transitions,
            seconds=tuple(self._course.seconds),
        )

    def finish(self) -> Outcome:
        """End the fleet and count."""
        stop_all(self._fleet)
        self._ask_breaker()
        return Outcome(
            phase=self.phase,
            calls=self._calls(),
            content=self._content.tally(),
            other=self._other.tally(),
            seconds=tuple(self._course.seconds),
            transitions=self._transitions,
            calls_while_paused=self._paused.calls,
            other_while_paused=self._paused.other,
            limited_while_recovering=self._recovering.limited,
            pace=self._recovering.pace,
        )

    def _ledger(self, queue: str) -> Ledger | MarkedLedger:
        if self._plan.framework == "rq":
            return Ledger(queue, self._connection)
        return MarkedLedger(queue, broker(self._plan.framework, self._url), self._connection)

    def _start(self, module: str, *arguments: str) -> Child:
        name = f"{module} {arguments[0]}" if module == "worker" else module
        child = Child(name, f"breaker.demo.{module}", *arguments)
        self._children.append(child)
        return child

    def _await_fleet(self) -> None:
        deadline = time.monotonic() + START
        while int(self._connection.scard(READY)) < len(self._fleet):
            for child in self._children:
                child.check()
            if time.monotonic() > deadline:
                raise ChildFailedError(f"the workers did not start within {START:g} s")
            time.sleep(0.02)

    def _ask_breaker(self) -> None:
        """Read status and history; keep the last answer if the store is too busy to reply."""
        if self._breaker:
            with contextlib.suppress(StoreUnavailable):
                self._status = self._breaker.status()
                self._transitions = tuple(self._breaker.events())

    def _calls(self) -> Calls:
        return Calls(**json.loads(fetch(f"{self._upstream}/stats")))

    def _close(self) -> None:
        stop_all(self._children)
        self._connection.close()
        if self._breaker:
            self._breaker.close()


class Course:
    """The seconds of a phase, from counts that only grow."""

    def __init__(self) -> None:
        self.seconds: list[Second] = []
        self._calls = Calls()
        self._begun: dict[tuple[str, str], int] = {}

    def add(self, elapsed: float, calls: Calls, begun: dict[bytes, bytes]) -> None:
        """Note the counts; after each full second keep the difference."""
        if elapsed < len(self.seconds) + 1:
            return
        counts = {_worker_and_queue(key): int(count) for key, count in begun.items()}
        self.seconds.append(
            Second(
                answered=calls.answered - self._calls.answered,
                limited=calls.limited - self._calls.limited,
                begun={key: count - self._begun.get(key, 0) for key, count in counts.items()},
            )
        )
        self._calls, self._begun = calls, counts


def _worker_and_queue(key: bytes) -> tuple[str, str]:
    worker, _, queue = key.decode().partition(" ")
    return worker, queue


class Paused:
    """Counts what happened while the queue was paused, from one look to the next."""

    def __init__(self) -> None:
        self.calls = 0
        self.other = 0
        self._before: tuple[int, int, int] | None = None

    def see(self, status: Status, calls: int, other: int) -> None:
        """Add what has come since the last look, if that saw the same pause."""
        epoch = status.epoch
        if status.is_paused and self._before and self._before[0] == epoch:
            self.calls += calls - self._before[1]
            self.other += other - self._before[2]
        self._before = (epoch, calls, other) if status.is_paused else None


class Recovering:
    """Counts what happened while the breaker was half-open, from one look to the next."""

    def __init__(self) -> None:
        self.limited = 0
        self.pace: float | None = None
        self._before: int | None = None

    def see(self, status: Status, limited: int) -> None:
        """Add the calls since the last look, if the breaker was half-open then."""
        if self._before is not None:
            self.limited += limited - self._before
        is_recovering = status.state is State.HALF_OPEN
        self._before = limited if is_recovering else None
        if self.pace is None:
            self.pace = status.pace
