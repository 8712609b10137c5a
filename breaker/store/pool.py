"""The one connection of this process to a server, whatever the number of its breakers and threads.

A thread waits here for its turn as long as the store makes progress: to wait for one's own
connection says nothing about the store. Once the store hangs, each one that gets its turn learns
of the outage before it sends anything.
"""

import contextlib
import threading
import time
from collections.abc import Sequence
from typing import Any

import redis

from breaker import forking
from breaker.store import connect
from breaker.store.bounded import set_deadline
from breaker.store.command import Command
from breaker.store.target import Target
from breaker.store.topology import topology_of
from breaker.store.turns import Entry, Turns, finish_all, is_shared


class Pool:
    """Connections for blocking commands to one server.

    Args:
        node: the server.
    """

    def __init__(self, node: Target) -> None:
        self.node = node
        self._client = connect.open_bounded(node)
        self._turns = Turns()
        self._turn = threading.Lock()
        # With the generation in which each was made; an older one is closed when it comes back.
        self._idle: list[tuple[int, Any]] = []
        self._generation = 0
        forking.renewed(self)

    def run(self, command: Command) -> Any:
        """Run a command, together with those of the threads that wait meanwhile.

        Raises:
            StoreUnavailable: an outage began while this waited for its turn.
            redis.RedisError, OSError: the command failed.
        """
        entry = self._turns.join(command)
        try:
            with self._turn:
                while not entry.is_done:
                    self._run_batch(entry)
        except BaseException:
            self._turns.leave(entry)
            raise
        return entry.result()

    def _run_batch(self, own: Entry) -> None:
        batch = self._turns.take()
        if not batch:
            return
        try:
            answers = self._send([entry.command for entry in batch], extends=False)
        except BaseException as error:
            if not is_shared(error):
                self._turns.put_back(batch, own)
                raise
            self._turns.fail(batch, error)
        else:
            finish_all(batch, answers)

    def run_all(self, commands: Sequence[Command]) -> list[Any]:
        """Run commands in one round trip; an error that the store answers stands in its place.

        Raises:
            StoreUnavailable: an outage began while this waited for its turn.
            redis.RedisError, OSError: there is no answer.
        """
        with self._turn:
            for command in commands:
                command.begin()
            return self._send(commands, extends=True)

    def _send(self, commands: Sequence[Command], *, extends: bool) -> list[Any]:
        spent = min(command.spent for command in commands)
        set_deadline(time.monotonic() + connect.TIMEOUT - spent)
        generation, connection = self._take()
        try:
            return self._exchange(connection, commands, extends=extends)
        except BaseException:
            connection.disconnect()
            raise
        finally:
            self._put(generation, connection)

    def drop(self) -> None:
        """Close the connections: the idle ones now, the others as they come back."""
        self._generation += 1
        idle, self._idle = self._idle, []
        for _, connection in idle:
            connection.disconnect()

    def after_fork(self) -> None:
        """In a forked child the sockets are the parent's."""
        self._turns = Turns()
        self._turn = threading.Lock()
        self._idle = []

    def _take(self) -> tuple[int, Any]:
        try:
            return self._idle.pop()
        except IndexError:
            return self._generation, self._client.connection_pool.make_connection()

    def _put(self, generation: int, connection: Any) -> None:
        if generation == self._generation:
            self._idle.append((generation, connection))
        else:
            connection.disconnect()

    def _exchange(
        self, connection: Any, commands: Sequence[Command], *, extends: bool
    ) -> list[Any]:
        """Send and receive; once more over a fresh connection, if the old one broke."""
        packed = connection.pack_commands(
            [line for command in commands for line in command.lines]
        )
        for may_retry in (True, False):
            try:
                connection.send_packed_command(packed, check_health=False)
                _skip_unread(connection)
                return [self._answer(connection, command, extends) for command in commands]
            except (redis.AuthenticationError, redis.exceptions.BusyLoadingError):
                raise
            except redis.ConnectionError:
                connection.disconnect()
                if not may_retry:
                    raise
        raise AssertionError  # not reached

    def _answer(self, connection: Any, command: Command, extends: bool) -> Any:
        try:
            for _ in command.lines[1:]:
                connection.read_response()
            return self._client.parse_response(connection, command.words[0])
        except redis.ResponseError as error:
            return error
        finally:
            if extends:  # a large reading is slow, not down: each answer has a time of its own
                set_deadline(time.monotonic() + connect.TIMEOUT)


def _skip_unread(connection: Any) -> None:
    """Read the answers that were not waited for when the connection was made."""
    while connection.unread:
        connection.unread -= 1
        with contextlib.suppress(redis.ResponseError):
            connection.read_response()


class Pools:
    """This process's connections to each server of a store.

    Args:
        target: the store.

    Attributes:
        users: how many drivers share them.
    """

    def __init__(self, target: Target) -> None:
        self.users = 0
        self._topology = topology_of(target)
        self._by_node: dict[str, Pool] = {}

    def of(self, node: Target) -> Pool:
        """The connections to a server; to those that are primaries no more they are closed."""
        found = self._by_node.get(node.identity)
        if found is None:
            for old in [pool for pool in self._all() if not self._topology.has(pool.node)]:
                self._by_node.pop(old.node.identity, None)
                old.drop()
            found = self._by_node.setdefault(node.identity, Pool(node))
        return found

    def drop(self) -> None:
        """Close the connections: the idle ones now, the others as they come back."""
        for pool in self._all():
            pool.drop()

    def _all(self) -> tuple[Pool, ...]:
        return tuple(self._by_node.values())


_pools: dict[str, Pools] = {}
_lock = threading.Lock()


def lend(target: Target) -> Pools:
    """This process's connections to a store, shared by all who ask for them."""
    with _lock:
        pools = _pools.get(target.identity) or Pools(target)
        _pools[target.identity] = pools
        pools.users += 1
    return pools


def give_back(target: Target) -> None:
    """The last user to give them back closes them."""
    with _lock:
        pools = _pools[target.identity]
        pools.users -= 1
        if pools.users == 0:
            del _pools[target.identity]
            pools.drop()


@forking.in_child
def _after_fork() -> None:
    global _lock  # noqa: PLW0603 - another thread may have held it at the fork
    _lock = threading.Lock()
