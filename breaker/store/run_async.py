"""Drive a plan with asyncio."""

import asyncio
from collections.abc import Callable, Generator
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import redis
import redis.asyncio

from breaker.model import Transition
from breaker.protocol.plans import Ask, Request, Send, Sleep, Tell
from breaker.store.connect import Target, open_async, translate

T = TypeVar("T")


class AsyncStore:
    """One store; every event loop has connections of its own to it."""

    def __init__(self, target: Target, tell: Callable[[tuple[Transition, ...]], None]) -> None:
        self.target = target
        self._tell = tell
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, redis.asyncio.Redis] = (
            WeakKeyDictionary()
        )

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

    async def _do(self, request: Request) -> Any:
        match request:
            case Ask():
                return await self._ask(request)
            case Send(command):
                return await self._command(*command)
            case Sleep(seconds):
                await asyncio.sleep(seconds)
            case Tell(transitions):
                await asyncio.to_thread(self._tell, transitions)
        return None

    async def _ask(self, ask: Ask) -> Any:
        sent = (len(ask.keys), *ask.keys, *ask.args)
        try:
            return await self._command("EVALSHA", ask.script.sha, *sent)
        except redis.exceptions.NoScriptError:
            return await self._command("EVAL", ask.script.body, *sent)

    async def _command(self, *command: str | int) -> Any:
        try:
            return await self._client().execute_command(*command)
        except redis.exceptions.NoScriptError:
            raise
        except (redis.RedisError, OSError) as error:
            raise translate(error, self.target) from error

    def _client(self) -> redis.asyncio.Redis:
        loop = asyncio.get_running_loop()
        if loop not in self._clients:
            self._clients[loop] = open_async(self.target)
        return self._clients[loop]

    async def close(self) -> None:
        """Close this loop's connections."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()
            await client.connection_pool.disconnect()
