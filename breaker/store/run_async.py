"""Drive a plan with asyncio."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Generator
from typing import Any, TypeVar

from breaker.protocol.requests import Request, Sleep, Tell, Watching
from breaker.store.carry_out import Command, Drop, Step, Store
from breaker.store.connect import Shared, give_back_async, lend_async

T = TypeVar("T")


class AsyncStore(Store):
    """One store; every event loop has connections of its own to it."""

    async def run(self, plan: Generator[Request, Any, T]) -> T:
        """Do what the plan asks for, until it has its result.

        Raises:
            StoreError: the store could not be asked.
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
                return await self._run_command(step)
            case Drop():
                await self._shared().client.connection_pool.disconnect()
            case Sleep(seconds, watch, serial) if watch is not None:
                await _wait_for_change(watch, serial, seconds)
            case Sleep(seconds):
                await asyncio.sleep(seconds)
            case Tell(transitions):
                await asyncio.to_thread(self._tell, transitions)
        return None

    async def _run_command(self, command: Command) -> Any:
        shared = self._shared()
        # Many tasks and few connections: waiting for one is not a sign of an outage.
        async with shared.turns:
            command.sent_at = time.monotonic()
            return await shared.client.execute_command(*command.words)

    def _shared(self) -> Shared:
        shared = lend_async(self.target)
        shared.users.add(self)
        return shared

    @staticmethod
    async def call_blocking(function: Callable[[], None]) -> None:
        """Call what may block, in a thread."""
        await asyncio.to_thread(function)

    async def close(self) -> None:
        """Give this loop's connections back; the last one to do so closes them."""
        shared = lend_async(self.target)
        shared.users.discard(self)
        if not shared.users:
            await give_back_async(self.target)


async def _wait_for_change(watch: Watching, serial: int, seconds: float) -> None:
    loop, changed = asyncio.get_running_loop(), asyncio.Event()

    def wake() -> None:
        # A loop that was closed meanwhile waits for nothing any more.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(changed.set)

    stop = watch.notify(wake)
    try:
        if watch.serial == serial:
            async with asyncio.timeout(seconds):
                await changed.wait()
    except TimeoutError:
        pass
    finally:
        stop()
