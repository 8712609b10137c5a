"""Every breaker under one prefix: what the command line, the exporter and the page read."""

import time
from collections.abc import Iterator
from typing import Any

from breaker.alerts import tell
from breaker.config import find_target, this_worker
from breaker.errors import ConfigurationError, StoreRefused
from breaker.model import Status
from breaker.protocol.asking import Asker, registered
from breaker.protocol.keys import PREFIX, Keys, registry
from breaker.settings import Settings, name_problems
from breaker.store.run_sync import SyncStore


class Fleet:
    """All breakers of one store and prefix. Reads only; creates nothing.

    Args:
        url: where Redis or Valkey is (default: the environment's BREAKER_URL, else localhost).
        redis: a redis-py client to take the connection data from, instead of `url`.
        prefix: what all keys begin with.

    Attributes:
        unreadable: what the last reading of all statuses had to leave out, and why: a breaker
            one of whose keys something else has taken.

    Raises:
        ConfigurationError: naming everything that is wrong.
    """

    def __init__(
        self, *, url: str | None = None, redis: Any = None, prefix: str = PREFIX
    ) -> None:
        problems = list(name_problems("prefix", prefix))
        if problems:
            raise ConfigurationError(problems)
        self.prefix = prefix
        self.target = find_target(url, redis)
        self._store = SyncStore(self.target, tell)
        self.unreadable: dict[str, StoreRefused] = {}

    def names(self) -> list[str]:
        """The names there are, in order.

        Raises:
            StoreError: the store could not be asked.
        """
        return self._store.run(registered(registry(self.prefix)))

    def statuses(self) -> Iterator[Status]:
        """The state of each readable breaker, in the order of names; one round trip each.

        Raises:
            StoreError: the store could not be asked, or refused to tell of any.
        """
        names = self.names()
        refusals: dict[str, StoreRefused] = {}
        for name in names:
            try:
                asker = self._asker(name)
                status = asker.status_of(self._store.run(asker.read()))
            except StoreRefused as refusal:
                refusals[name] = refusal
            else:
                yield status
        self.unreadable = refusals
        if refusals and len(refusals) == len(names):
            raise refusals[names[0]]

    def close(self) -> None:
        """Close the connections."""
        self._store.close()

    def _asker(self, name: str) -> Asker:
        keys = Keys(self.prefix, name)
        settings = Settings.resolve({}, {})
        channel = keys.channel(self.target.database)
        return Asker(keys, channel, this_worker(), settings, clock=time.monotonic)
