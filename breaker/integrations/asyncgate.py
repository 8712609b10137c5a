"""The gate of frameworks that run in an event loop: as `gate`, awaited."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from breaker import AsyncBreaker, AsyncPermit, BreakerOpen, StoreError
from breaker.integrations.gate import POLL, Guarded, Outcome, Queues, next_look, wrapped

_LOGGER = logging.getLogger("breaker")


class AsyncGate(Guarded):
    """The guarded queues of an event loop, and their breakers. Close it before the loop ends."""

    def __init__(
        self, queues: Queues = None, *, line: str, requeue: bool = True, **options: Any
    ) -> None:
        super().__init__(queues, line=line, requeue=requeue, **options)
        self._breakers: dict[str, AsyncBreaker] = {}

    def breaker(self, queue: str) -> AsyncBreaker | None:
        """Return the breaker of a queue, or None if the queue is not guarded."""
        name = self._name_of(queue)
        if name is None:
            return None
        if name not in self._breakers:
            self._breakers[name] = AsyncBreaker(name, **self._options)
        return self._breakers[name]

    async def settle(
        self,
        permit: AsyncPermit,
        error: BaseException | None,
        *,
        control_flow: tuple[type[BaseException], ...] = (),
    ) -> Outcome:
        """Report what a job ended with, and say what follows; see `gate.Gate.settle`."""
        if not isinstance(error, control_flow):
            return self.outcome(error, await permit.report(error), permit.status)
        if (inner := wrapped(error)) is not None:
            return Outcome(await permit.report(inner))
        await give_back(permit.release)
        return Outcome()

    async def close(self) -> None:
        """Close the breakers; they are made anew if the gate is used again, in another loop too."""
        while self._breakers:
            _, breaker = self._breakers.popitem()
            await breaker.close()


async def acquire(
    breaker: AsyncBreaker, timeout: float = 0.0
) -> tuple[AsyncPermit | None, float]:
    """Ask for a permit, and wait for it for at most `timeout` seconds.

    Returns:
        The permit, or None and the seconds after which it is worth asking again.
    """
    try:
        return await breaker.acquire(timeout=timeout), 0.0
    except BreakerOpen as error:
        return None, next_look(error)
    except StoreError:
        _LOGGER.exception("%s: the store cannot be asked; the queue waits", breaker.name)
        return None, POLL


async def acquired(breaker: AsyncBreaker) -> AsyncPermit:
    """Wait for a permit, for as long as it takes."""
    while True:
        permit, wait = await acquire(breaker, POLL)
        if permit is not None:
            return permit
        await asyncio.sleep(0.0 if wait < POLL else POLL)


async def is_current(permit: AsyncPermit) -> bool:
    """Whether a permit still holds."""
    try:
        return await permit.is_current()
    except StoreError:
        return False


async def give_back(give: Callable[[], Awaitable[object]]) -> None:
    """Give a permit back, by its `unused` or its `release`; a failure of the store is logged."""
    try:
        await give()
    except StoreError:
        _LOGGER.exception("a permit could not be given back")
