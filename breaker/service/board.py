"""The breakers that the service speaks for, made when they are first asked for."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from breaker.aio import AsyncBreaker
from breaker.fleet import Fleet

# Breakers that are kept: one takes about 9 KiB and a place in the subscription.
MOST = 2000


class Board:
    """The service's breakers by name; the ones that were not used for the longest time go first.

    Args:
        fleet: all breakers of the store.
    """

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self._breakers: OrderedDict[str, AsyncBreaker] = OrderedDict()
        self._users: dict[str, int] = {}

    async def knows(self, name: str) -> bool:
        """Whether the store has this breaker. To ask creates nothing.

        Raises:
            ConfigurationError: no breaker can have this name.
            StoreError: the store could not be asked.
        """
        if name in self._breakers:
            return True
        return (await asyncio.to_thread(self.fleet.status, name)).exists

    @asynccontextmanager
    async def breaker(self, name: str) -> AsyncIterator[AsyncBreaker]:
        """Use one breaker, known or new.

        Raises:
            ConfigurationError: no breaker can have this name.
        """
        found = self._breakers.get(name) or self._made(name)
        self._breakers[name] = found
        self._breakers.move_to_end(name)
        self._users[name] = self._users.get(name, 0) + 1
        try:
            yield found
        finally:
            self._users[name] -= 1
            if not self._users[name]:
                del self._users[name]
            await self._tidy()

    async def drop(self, name: str) -> None:
        """Let go of a breaker that was forgotten; who waits for it may go on."""
        if found := self._breakers.pop(name, None):
            await found.close()

    async def close(self) -> None:
        """Close all."""
        while self._breakers:
            await self._breakers.popitem()[1].close()

    def _made(self, name: str) -> AsyncBreaker:
        where: dict[str, Any] = {"redis": self.fleet.target, "prefix": self.fleet.prefix}
        return AsyncBreaker(name, **where, declare=False, on_store_failure="raise")

    async def _tidy(self) -> None:
        if len(self._breakers) <= MOST:
            return
        unused = next((name for name in self._breakers if name not in self._users), None)
        if unused is not None:
            await self._breakers.pop(unused).close()
