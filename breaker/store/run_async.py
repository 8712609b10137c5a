"""Drive a plan with asyncio."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Generator
from typing import Any, TypeVar

import redis

from breaker.errors import StoreUnavailable
from breaker.model import Transition
from breaker.protocol.requests import Ask, Request, Send, Sleep, Tell, Watching
from breaker.store.connect import (
    WRITES,
    Shared,
    Target,
    give_back_async,
    lend_async,
    only_reads,
    translate,
)
from breaker.store.fallback import Fallback
from breaker.store.outage import Outage

T = TypeVar("T")


class AsyncStore:
    """One store; every event loop has connections of its own to it."""

    def __init__(
        self,
        target: Target,
        tell: Callable[[tuple[Transition, ...]], None],
        outage: Outage | None = None,
        fallback: Fallback | None = None,
    ) -> None:
        self.target = target
        self._outage = outage or Outage(target, is_told=False)
        self._fallback = fallback
        self._tell = tell

    async def run(self, plan: Generator[Request, Any, T]) -> T:
        """Do what the plan asks for, until it has its result.

        Raises:
            StoreError: the store could not be asked.
        """
        answer = None
        try:
            while True:
                answer = await self._do(plan.send(answer))
        except StopIteration as done:
            result: T = done.value
            return result
        finally:
            plan.close()  # and not whenever the exception is forgotten

    async def _do(self, request: Request) -> Any:
        match request:
            case Ask():
                return await self._ask(request)
            case Send():
                return await self._send(request)
            case Sleep(seconds, watch, serial) if watch is not None:
                await _wait_for_change(watch, serial, seconds)
            case Sleep(seconds):
                await asyncio.sleep(seconds)
            case Tell(transitions):
                await asyncio.to_thread(self._tell, transitions)
        return None

    async def _send(self, send: Send) -> Any:
        try:
            return await self._command(*send.command, is_write=send.command[0] in WRITES)
        except StoreUnavailable:
            if not send.may_fail:
                raise
        return None

    async def _ask(self, ask: Ask) -> Any:
        sent = (len(ask.keys), *ask.keys, *ask.args)
        try:
            if ask.local_args is not None and self._outage.check() and self._fallback:
                await self._command(
                    "SET", self._fallback.probe_key, "1", "PX", 1000, is_write=True
                )
            is_write = ask.script.name != "snapshot"
            try:
                return await self._command("EVALSHA", ask.script.sha, *sent, is_write=is_write)
            except redis.exceptions.NoScriptError:
                return await self._command("EVAL", ask.script.body, *sent, is_write=is_write)
        except StoreUnavailable as error:
            if self._fallback is None or ask.local_args is None:
                raise
            given = dict(zip(ask.script.args, ask.args, strict=True)) | dict(ask.local_args)
            return self._fallback.answer(self._outage.number, ask.script.name, given, error)

    async def _command(self, *command: str | int, is_write: bool) -> Any:
        shared = self._shared()
        asked_at = time.monotonic()
        try:
            # Many tasks and few connections: waiting for one is no sign of an outage.
            async with shared.turns:
                asked_at = time.monotonic()
                answer = await shared.client.execute_command(*command)
        except redis.exceptions.NoScriptError:
            self._outage.ended(is_write=False)
            raise
        except (redis.RedisError, OSError) as error:
            told = translate(error, self.target)
            if isinstance(told, StoreUnavailable):
                self._outage.failed(told, asked_at, is_read_only=only_reads(error))
            else:
                self._outage.ended(is_write=is_write)
            if isinstance(error, redis.exceptions.ReadOnlyError):
                # A master that has become a replica: the name may lead to another server by now.
                await shared.client.connection_pool.disconnect()
            raise told from error
        self._outage.ended(is_write=is_write)
        return answer

    def _shared(self) -> Shared:
        shared = lend_async(self.target)
        shared.users.add(self)
        return shared

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
