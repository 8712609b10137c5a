"""The connection of each event loop to a server. What belongs to a loop ends with it."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator
from itertools import accumulate
from types import TracebackType
from typing import Any, Self

import redis

from breaker import forking
from breaker.store import connect
from breaker.store.command import Command
from breaker.store.target import Target
from breaker.store.turns import Entry, Turns, finish_all, is_shared

# Seconds by which a deadline may come late before it is taken for a sign that the loop, and not
# the store, stood still. The replies that have come meanwhile are looked at first.
LAG = 0.02


class LoopPool:
    """One event loop's connections to one server.

    Attributes:
        users: the drivers that use it.
    """

    def __init__(self, node: Target) -> None:
        self.users: set[object] = set()
        self._client = connect.open_async(node)
        self._turns = Turns()
        self._turn = asyncio.Lock()
        self._life: AsyncGenerator[None, None]

    async def run(self, command: Command) -> Any:
        """Run a command, together with those of the tasks that wait meanwhile.

        Raises:
            StoreUnavailable: an outage began while this waited for its turn.
            redis.RedisError, OSError: the command failed.
        """
        entry = self._turns.join(command)
        try:
            async with self._turn:
                while not entry.is_done:
                    await self._run_batch(entry)
        except BaseException:
            self._turns.leave(entry)
            raise
        return entry.result()

    async def _run_batch(self, own: Entry) -> None:
        batch = self._turns.take()
        if not batch:
            return
        try:
            spent = min(entry.command.spent for entry in batch)
            async with Deadline(connect.TIMEOUT - spent):
                answers = await self._send(batch)
        except BaseException as error:
            if not is_shared(error):
                self._turns.put_back(batch, own)
                raise
            self._turns.fail(batch, error)
        else:
            finish_all(batch, answers)

    async def _send(self, batch: list[Entry]) -> list[Any]:
        lines = [line for entry in batch for line in entry.command.lines]
        if len(lines) == 1:
            try:
                return [await self._client.execute_command(*lines[0])]
            except redis.ResponseError as error:
                return [error]
        pipeline = self._client.pipeline(transaction=False)
        for line in lines:
            pipeline.execute_command(*line)
        answers: list[Any] = await pipeline.execute(raise_on_error=False)
        own = accumulate(len(entry.command.lines) for entry in batch)
        return [answers[end - 1] for end in own]

    async def drop(self) -> None:
        """Close the idle connections; other tasks may be using the others."""
        await self._client.connection_pool.disconnect(inuse_connections=False)

    async def end_with_loop(self) -> None:
        """Have the connections closed when the loop ends, for no caller may see to it.

        A loop that ends closes the asynchronous generators that were begun in it.
        """
        self._life = self._live()
        await anext(self._life)

    async def end(self) -> None:
        """Close all connections."""
        await self._life.aclose()

    async def _live(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            with _lock:
                for key in [key for key, pool in _pools.items() if pool is self]:
                    del _pools[key]
            with contextlib.suppress(Exception):
                await self._client.aclose()
                await self._client.connection_pool.disconnect()


class Deadline:
    """Ends what its task waits for with a TimeoutError, after a number of seconds.

    If the loop itself stood still, the replies that came meanwhile are let in first.
    """

    def __init__(self, seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._at = self._loop.time() + seconds
        self._is_over = self._was_late = False

    async def __aenter__(self) -> Self:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in a task
        self._task = task
        self._cancelling = task.cancelling()
        self._timer = self._loop.call_at(self._at, self._expire)
        return self

    def _expire(self) -> None:
        if self._loop.time() - self._at > LAG and not self._was_late:
            self._was_late = True
            self._timer = self._loop.call_later(LAG, self._expire)
            return
        self._is_over = True
        self._task.cancel()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        if not self._is_over:
            return
        is_ours = self._task.uncancel() <= self._cancelling
        if is_ours and kind is not None and issubclass(kind, asyncio.CancelledError):
            raise TimeoutError("the store took too long") from error


_pools: dict[tuple[asyncio.AbstractEventLoop, str], LoopPool] = {}
# Loops run in threads of their own.
_lock = threading.Lock()


async def lend(node: Target) -> LoopPool:
    """The running loop's connections to a server, shared by all who ask for them."""
    key = (asyncio.get_running_loop(), node.identity)
    pool = _pools.get(key)
    if pool is None:
        with _lock:
            for old in [known for known in _pools if known[0].is_closed()]:
                del _pools[old]
            pool = _pools[key] = LoopPool(node)
        await pool.end_with_loop()
    return pool


async def give_back(node: Target, user: object) -> None:
    """The last user to give the running loop's connections back closes them."""
    with _lock:
        pool = _pools.get((asyncio.get_running_loop(), node.identity))
    if pool is None:
        return
    pool.users.discard(user)
    if not pool.users:
        await pool.end()


@forking.in_child
def _after_fork() -> None:
    global _lock  # noqa: PLW0603 - another thread may have held it at the fork
    _lock = threading.Lock()
