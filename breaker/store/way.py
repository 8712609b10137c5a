"""The way of one command to the server that has its keys, wherever that is by now."""

import contextlib
import time
from collections.abc import Callable, Generator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import redis

from breaker.errors import StoreError
from breaker.protocol.requests import Sleep
from breaker.store.command import Command
from breaker.store.connect import TIMEOUT
from breaker.store.outage import Outage
from breaker.store.peers import Address
from breaker.store.target import Target
from breaker.store.topology import Shard, Topology
from breaker.store.verdicts import code_of

# Seconds until a command is sent again whose keys are on their way to another server.
MOMENT = 0.02
# A connection that could not be used, which says nothing of the server's willingness.
_BROKEN = (redis.ConnectionError, OSError)
_UNMOVED = (
    redis.TimeoutError,
    TimeoutError,
    redis.AuthenticationError,
    redis.exceptions.BusyLoadingError,
)


@dataclass(frozen=True, slots=True)
class Look:
    """Wait until it is known where the store's servers are; at most for the given seconds."""

    found: "Future[None]"
    seconds: float


Steps = Generator[Look | Sleep, Any, Any]


class Way:
    """Where a command is to be sent, and whether to send it again after an error.

    It is sent again at most once, with the same token, to the server that has its keys by now. What
    it took until then is taken from its time.

    Args:
        topology: the store's servers.
        words: the command and its arguments.
        outage_of: this process's view of a shard's health.
    """

    def __init__(
        self,
        topology: Topology,
        words: tuple[str | int, ...],
        outage_of: Callable[[Shard], Outage],
    ) -> None:
        self._topology = topology
        self._words = words
        self._outage_of = outage_of
        self._spent = 0.0
        self._was_led_on = False
        self._asked: Target | None = None
        self._sent_to: Target | None = None
        self.shard = topology.shard_for(words)
        self.outage = outage_of(self.shard)

    def note_move(self) -> None:
        """The keys are on their way, and have not arrived in time."""
        self._topology.note_move(self._words)

    def command(self) -> Generator[Look | Sleep, Any, Command]:
        """Make the command for the server that is next."""
        if self.shard.node is None:
            yield from self._look(self._topology.look())
        node = self._asked or self.shard.node
        if node is None:
            raise TimeoutError("it is not known where the store's servers are")
        self._sent_to = node
        is_asking, self._asked = self._asked is not None, None
        return Command(self._words, self.outage, node, spent=self._spent, is_asking=is_asking)

    def leads_on(
        self, error: Exception, command: Command
    ) -> Generator[Look | Sleep, Any, bool]:
        """Whether the command is to be sent again, and where; find that out."""
        if self._topology.target.peers is None:
            return False
        self._spent += time.monotonic() - command.sent_at
        code = code_of(error) if isinstance(error, redis.ResponseError) else ""
        if code == "TRYAGAIN":
            return (yield from self._wait_for_keys())
        was_led_on, self._was_led_on = self._was_led_on, True
        if was_led_on:
            return False
        if code == "ASK":
            self._asked = self._topology.server(_named(error))
            return True
        is_broken = isinstance(error, _BROKEN) and not isinstance(error, _UNMOVED)
        if code in ("MOVED", "READONLY") or is_broken:
            found = self._topology.look(_named(error) if code == "MOVED" else None)
            with contextlib.suppress(StoreError, TimeoutError):  # the first error says more
                yield from self._look(found)
            return self.shard.node is not self._sent_to
        if not code or code == "CLUSTERDOWN":
            self._topology.look()
        return False

    def _wait_for_keys(self) -> Generator[Look | Sleep, Any, bool]:
        """Some of the keys are on their way: the server has done nothing, and soon another may."""
        if self._spent + MOMENT > TIMEOUT / 2:
            return False
        yield Sleep(MOMENT)
        self._spent += MOMENT
        return True

    def _look(self, found: "Future[None]") -> Generator[Look | Sleep, Any, None]:
        began = time.monotonic()
        yield Look(found, max(0.0, TIMEOUT - self._spent))
        self._spent += time.monotonic() - began
        self.shard = self._topology.shard_for(self._words)
        self.outage = self._outage_of(self.shard)


def _named(error: Any) -> Address:
    """The server that an error of a cluster's node names."""
    return str(error.host), int(error.port)
