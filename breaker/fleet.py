"""Every breaker under one prefix: what the command line, the exporter and the page read."""

import math
from collections import deque
from collections.abc import Iterator, Mapping
from time import monotonic
from typing import Any

from breaker.alerts import tell
from breaker.errors import ConfigurationError, StoreError, StoreUnavailable
from breaker.model import Status, Transition
from breaker.protocol.asking import Asker, registered, unlisted
from breaker.protocol.keys import Keys, find_prefix, registry
from breaker.protocol.outbox import waiting
from breaker.settings import Settings, name_problems
from breaker.store.run_many import BatchStore
from breaker.store.target import find_target, this_worker


class Fleet:
    """All breakers of one store and prefix. Creates nothing.

    Args:
        url: where Redis or Valkey is (default: the environment's BREAKER_URL, else localhost).
        redis: a redis-py client to take the connection data from, instead of `url`.
        prefix: what all keys begin with (default: BREAKER_PREFIX, else "breaker").

    Attributes:
        unreadable: what the last reading of all statuses had to leave out, and why: a breaker
            one of whose keys something else has taken, one that was not read in time, or one in
            a part of a cluster that is away.

    Raises:
        ConfigurationError: naming everything that is wrong.
    """

    def __init__(
        self, *, url: str | None = None, redis: Any = None, prefix: str | None = None
    ) -> None:
        prefix = find_prefix(prefix)
        problems, target = list(name_problems("prefix", prefix)), None
        try:
            target = find_target(url, redis)
        except ConfigurationError as error:
            problems += error.problems
        if problems or target is None:
            del url, redis  # tools that show local variables would show the password
            raise ConfigurationError(problems)
        self.prefix = prefix
        self.target = target
        self._store = BatchStore(self.target, tell)
        self._worker = this_worker()
        self._settings = Settings.resolve({}, {})
        self.unreadable: dict[str, StoreError] = {}
        # What was listed last.
        self._names: list[str] = []

    def names(self) -> list[str]:
        """The names there are, in order.

        Raises:
            StoreError: the store could not be asked.
        """
        try:
            self._names = self._store.run(registered(registry(self.prefix)))
        except StoreUnavailable:
            if not (self.target.is_cluster and self._names):
                raise  # else only the list is away, and the breakers may be there
        return self._names

    def statuses(self, seconds: float = math.inf) -> Iterator[Status]:
        """The state of each readable breaker, in the order of names, read in batches.

        A name without a state is taken off the list: it was forgotten, flushed or evicted.

        Args:
            seconds: how long it may take; breakers that are left by then count as unreadable.

        Raises:
            StoreError: the store could not be asked, or nothing could be read.
        """
        deadline = monotonic() + seconds
        self.unreadable = {}
        names = self.names()
        gone = []
        for name, status in self._read(names, deadline):
            if isinstance(status, StoreUnavailable) and not self.target.is_cluster:
                raise status
            if isinstance(status, StoreError):
                self.unreadable[name] = status
            elif status.exists or status.is_paused:  # a pause key may be set by hand
                yield status
            else:
                gone.append(Keys(self.prefix, name))
        if names and len(self.unreadable) == len(names):
            raise self.unreadable[names[0]]
        deque(self._store.run_all(unlisted(keys) for keys in gone), maxlen=0)

    def _read(
        self, names: list[str], deadline: float
    ) -> Iterator[tuple[str, Status | StoreError]]:
        # The first one alone, so that the script is sent only once.
        for some in (names[:1], names[1:]):
            askers = [self._asker(name) for name in some]
            replies = self._store.run_all(asker.read() for asker in askers)
            for asker in askers:
                if monotonic() > deadline:
                    yield asker.keys.name, StoreError("the store took too long to read all")
                    continue
                reply = next(replies)
                if isinstance(reply, StoreError):
                    yield asker.keys.name, reply
                else:
                    yield asker.keys.name, asker.status_of(reply)

    def status(self, name: str) -> Status:
        """The state of one breaker, without making it.

        Raises:
            ConfigurationError: no breaker can have this name.
            StoreError: the store could not be asked.
        """
        if problems := list(name_problems("name", name)):
            raise ConfigurationError(problems)
        asker = self._asker(name)
        return asker.status_of(self._store.run(asker.read()))

    def histories(self, marks: Mapping[str, str]) -> Iterator[Transition]:
        """The entries of each breaker's history after the mark, the id of an entry.

        A breaker that cannot be read, or whose store is away, has none now.
        """
        plans = (self._asker(name).history_after(mark) for name, mark in marks.items())
        for found in self._store.run_all(plans):
            if not isinstance(found, StoreError):
                yield from found

    def alerts_under_way(self) -> Iterator[tuple[str, dict[str, int]]]:
        """By breaker and channel, how many alerts were taken and not acknowledged yet.

        Raises:
            StoreError: the store could not be asked.
        """
        for name in self.names():
            yield name, self._store.run(waiting(Keys(self.prefix, name)))

    def probe(self) -> None:
        """See whether the store can be read, runs the scripts and takes writes.

        Raises:
            StoreError: it does not.
        """
        asker = self._asker("probe")
        self._store.run(asker.probe())
        self._store.run(asker.read())

    def close(self) -> None:
        """Close the connections."""
        self._store.close()

    def _asker(self, name: str) -> Asker:
        keys = Keys(self.prefix, name)
        channel = keys.channel(self.target.database)
        asker = Asker(keys, channel, self._worker, self._settings, clock=monotonic)
        asker.declares = False
        return asker
