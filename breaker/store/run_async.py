"""Drive a plan with asyncio."""

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Generator
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from breaker.errors import BreakerError
from breaker.protocol.requests import Request, Sleep, Tell
from breaker.store.carry_out import Drop, Step, Store
from breaker.store.command import Command
from breaker.store.loops import LoopPool, give_back, lend
from breaker.store.target import Target
from breaker.store.way import Look

T = TypeVar("T")

# An id() is used again once a task has ended.
_tasks: "WeakKeyDictionary[asyncio.Task[Any], int]" = WeakKeyDictionary()
_numbers = itertools.count(1)

# Kept from being collected before they are done.
_running: set[asyncio.Task[None]] = set()


class AsyncStore(Store):
    """One store; every event loop has connections of its own to it."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        # The servers that it has used, from any loop.
        self._nodes: list[Target] = []

    async def run(self, plan: Generator[Request, Any, T]) -> T:
        """Do what the plan asks for, until it has its result.

        Raises:
            StoreError: the store could not be asked.
            BreakerStopped: `close()` was called.
        """
        steps = self._steps(plan)
        try:
            step = next(steps)
            while True:
                try:
                    answer = await self._do(step)
                except Exception as error:  # noqa: BLE001 - the steps know what to do with it
                    step = steps.throw(error)
                else:
                    step = steps.send(answer)
        except StopIteration as done:
            result: T = done.value
            return result
        finally:
            steps.close()

    async def _do(self, step: Step) -> Any:
        match step:
            case Command():
                return await (await self._lent(step.node)).run(step)
            case Drop():
                for node in self._nodes:
                    await (await self._lent(node)).drop()
            case Look(found, seconds):
                async with asyncio.timeout(seconds):
                    await asyncio.wrap_future(found)
            case Sleep():
                await self._sleep(step)
            case Tell(transitions) if not transitions:
                self._tell(
                    step, self.target
                )  # does not block; a task cancelled here loses its reply
            case Tell():
                await self.call_blocking(lambda: self._tell(step, self.target))
        return None

    async def _lent(self, node: Target) -> LoopPool:
        if node not in self._nodes:
            for old in [known for known in self._nodes if not self._topology.has(known)]:
                self._nodes.remove(old)
                await give_back(old, self)
            self._nodes = [*self._nodes, node]
        pool = await lend(node)
        pool.users.add(self)
        return pool

    async def _sleep(self, sleep: Sleep) -> None:
        loop, woken = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            # A loop that was closed meanwhile waits for nothing any more.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(woken.set)

        with self._waked(sleep, wake) as may_sleep, contextlib.suppress(TimeoutError):
            if may_sleep:
                async with asyncio.timeout(sleep.seconds):
                    await woken.wait()

    def give_up(self, hand_in: Generator[Request, Any, Any]) -> None:
        """A caller was cancelled: give back what the store may have given it meanwhile."""
        self.owe()
        task = asyncio.get_running_loop().create_task(self._run_quietly(hand_in))
        _running.add(task)
        task.add_done_callback(_running.discard)

    async def _run_quietly(self, hand_in: Generator[Request, Any, Any]) -> None:
        with contextlib.suppress(BreakerError):
            await self.run(hand_in)

    @staticmethod
    def who() -> int:
        """The running task, by a number that no later one gets; 0 outside of tasks."""
        try:
            task = asyncio.current_task()
        except RuntimeError:
            return 0
        return _tasks.setdefault(task, next(_numbers)) if task else 0

    @staticmethod
    async def call_blocking(function: Callable[[], None]) -> None:
        """Call what may block, in a thread; here, if the interpreter ends and starts no more."""
        try:
            await asyncio.to_thread(function)
        except RuntimeError as error:
            if "shutdown" not in str(error):
                raise
            function()

    async def close(self) -> None:
        """Give this loop's connections back; the last one to do so closes them."""
        for node in self._nodes:
            await give_back(node, self)
