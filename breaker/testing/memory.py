"""The breakers, and the store that answers their plans by the readable machine."""

import asyncio
import itertools
from collections.abc import Generator
from typing import Any, Literal, TypeVar, Unpack, get_args

from breaker.aio import AsyncBreaker
from breaker.config import Given
from breaker.errors import ConfigurationError
from breaker.face import Face
from breaker.machine import Machine
from breaker.model import State, Status
from breaker.protocol.requests import Ask, Request, Send, Sleep
from breaker.store.carry_out import Store
from breaker.store.run_async import AsyncStore
from breaker.store.run_sync import SyncStore
from breaker.sync import Breaker

T = TypeVar("T")

ForcedState = Literal["closed", "open", "half-open", "forced-open", "disabled"]

# When a test's time begins, in epoch seconds: the same in each run.
START = 1_768_478_400.0
# A plan sleeps fewer times than this, unless what it waits for never comes.
MOST_SLEEPS = 1_000
# It is never connected to; only its form is checked.
NOWHERE = "redis://memory.invalid"


class MemoryStore:
    """What several breakers have in common: the clock, and one state for each name.

    Args:
        start: the time at which it begins, in epoch seconds.

    Attributes:
        now: the time, in epoch seconds. A breaker that waits moves it on, and returns at once.
        numbers: for what must not be called the same twice.
    """

    def __init__(self, start: float = START) -> None:
        self.now = start
        self.numbers = itertools.count(1)
        self._machines: dict[str, Machine] = {}

    def advance(self, seconds: float) -> None:
        """Move the clock on."""
        if not seconds >= 0:
            raise ValueError(f"a clock moves on by seconds from 0, not by {seconds!r}")
        self.now += seconds

    def run(self, plan: Generator[Request, Any, T]) -> T:
        """Do what a plan asks for, until it has its result."""
        answer, sleeps = None, 0
        try:
            while True:
                request = plan.send(answer)
                if isinstance(request, Sleep):
                    sleeps += 1
                    self._sleep(request.seconds, sleeps)
                answer = self._answer(request)
        except StopIteration as done:
            result: T = done.value
            return result
        finally:
            plan.close()

    def _sleep(self, seconds: float, sleeps: int) -> None:
        if sleeps > MOST_SLEEPS:
            raise AssertionError(
                "this wait does not end: the queue is paused until an operator resumes it; "
                "give the call a timeout"
            )
        self.now += max(0.0, seconds)

    def _answer(self, request: Request) -> Any:
        if isinstance(request, Ask):
            given = dict(zip(request.script.args, request.args, strict=True))
            machine = self._machine(request.keys[0])
            return machine.answer(request.script.name, round(self.now * 1000), given)
        if isinstance(request, Send):
            return self._send(*request.command)
        return None

    def _send(self, verb: str | int, key: str | int, *rest: str | int) -> Any:
        if verb != "XREVRANGE":
            return 1  # the list of names and the probe are not kept
        history = list(self._machine(str(key)).history)
        entries = [(str(number), fields) for number, fields in enumerate(history)]
        return entries[::-1][: int(rest[-1])]

    def _machine(self, key: str) -> Machine:
        return self._machines.setdefault(key.rpartition("}")[0], Machine())


class _SyncMemory(SyncStore):
    memory: MemoryStore

    def __init__(self, *given: Any, **named: Any) -> None:
        Store.__init__(self, *given, **named)  # not SyncStore's, which lends connections

    def run(self, plan: Generator[Request, Any, T]) -> T:
        return self.memory.run(plan)

    def close(self) -> None:
        pass


class _AsyncMemory(AsyncStore):
    memory: MemoryStore

    async def run(self, plan: Generator[Request, Any, T]) -> T:
        await asyncio.sleep(0)  # other tasks get their turn, as with a real store
        return self.memory.run(plan)

    async def close(self) -> None:
        pass


def _settle(face: Face[Any], store: MemoryStore) -> None:
    """Put a breaker on a store in memory, without chance."""
    face._store.memory = store  # noqa: SLF001 - a face of its own store
    face._asker.clock = lambda: store.now  # noqa: SLF001
    face._plans.line.random = lambda: 0.0  # noqa: SLF001
    face.identity = (face.name, id(store))


class MemoryBreaker(Breaker):
    """A Breaker in memory.

    Args:
        name: the queue.
        store: what it shares with other breakers; by default one of its own.
        worker: the worker's name in the evidence and for `min_workers`.
        **options: the options of a Breaker, as `threshold` and `classify`.
    """

    _driver = _SyncMemory

    def __init__(
        self,
        name: str = "test",
        *,
        store: MemoryStore | None = None,
        worker: str | None = None,
        **options: Unpack[Given],
    ) -> None:
        super().__init__(name, url=NOWHERE, push=False, worker=worker, **options)
        self.store = store or MemoryStore()
        _settle(self, self.store)

    def force(self, state: ForcedState, seconds: float = 60.0) -> Status:
        """Put the breaker into a state.

        Args:
            state: closed, open, half-open, forced-open or disabled.
            seconds: how long an open one is paused.

        Raises:
            ConfigurationError: there is no such state, or the options do not allow it.
        """
        return _force(self, self.store, state, seconds)


class AsyncMemoryBreaker(AsyncBreaker):
    """An AsyncBreaker in memory; `force` need not be awaited.

    Args:
        name: the queue.
        store: what it shares with other breakers; by default one of its own.
        worker: the worker's name in the evidence and for `min_workers`.
        **options: the options of an AsyncBreaker, as `threshold` and `classify`.
    """

    _driver = _AsyncMemory

    def __init__(
        self,
        name: str = "test",
        *,
        store: MemoryStore | None = None,
        worker: str | None = None,
        **options: Unpack[Given],
    ) -> None:
        super().__init__(name, url=NOWHERE, push=False, worker=worker, **options)
        self.store = store or MemoryStore()
        _settle(self, self.store)

    def force(self, state: ForcedState, seconds: float = 60.0) -> Status:
        """Put the breaker into a state; see `MemoryBreaker.force`."""
        return _force(self, self.store, state, seconds)


def _force(face: Face[Any], store: MemoryStore, state: ForcedState, seconds: float) -> Status:
    plans = face._plans  # noqa: SLF001 - a face of its own store
    by = "breaker.testing"
    if state not in get_args(ForcedState):
        raise ConfigurationError([f"there is no state {state!r}, only {get_args(ForcedState)}"])
    status = store.run(plans.order("reset", "", by))
    if state in {"open", "half-open"}:
        status = _trip(face, store, seconds)
    if state == "half-open":
        store.advance(status.resumes_in or 0.0)
        status = store.run(plans.status())
    elif state == "forced-open":
        status = store.run(plans.pause(None, "", by))
    elif state == "disabled":
        status = store.run(plans.order("disable", "", by))
    if status.state is not State(state):
        needs = f"mode={status.mode!r} and recovery={status.recovery!r} never lead to {state!r}"
        raise ConfigurationError([needs])
    return status


def _trip(face: Face[Any], store: MemoryStore, seconds: float) -> Status:
    """Report as many errors, from as many workers, as it takes."""
    plans, asker = face._plans, face._asker  # noqa: SLF001 - a face of its own store
    worker, status = asker.worker, store.run(plans.status())
    for number in range(max(status.threshold, status.min_workers)):
        asker.worker = f"worker-{number % status.min_workers}"
        status = store.run(plans.rate_limit_error(seconds, f"forced-{next(store.numbers)}"))
    asker.worker = worker
    return status
