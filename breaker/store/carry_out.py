"""Carry out what a plan asks for: the logic of both drivers, once.

It is a generator like the plans above it. It yields the few things that the drivers do each in
their own way: run a command, drop the connections, sleep, tell. An error of a command is thrown
into it.
"""

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import redis

from breaker.errors import StoreUnavailable
from breaker.model import Transition
from breaker.protocol.requests import Ask, Request, Send, Sleep, Tell
from breaker.store.fallback import Fallback
from breaker.store.outage import Outage
from breaker.store.target import Target
from breaker.store.verdicts import only_reads, translate

T = TypeVar("T")

# Plain commands that write. All scripts do, but for `snapshot`.
WRITES = ("SADD", "SET", "SREM")


@dataclass(slots=True)
class Command:
    """A command to run. `sent_at`: when, in monotonic seconds; the driver notes it."""

    words: tuple[str | int, ...]
    sent_at: float = field(default_factory=time.monotonic)


@dataclass(frozen=True, slots=True)
class Drop:
    """Close the connections: the host name may lead to another server by now."""


Step = Command | Drop | Sleep | Tell
Steps = Generator[Step, Any, Any]


class Store:
    """One store, as a driver has it.

    Args:
        target: where it is.
        tell: what logs and alerts transitions.
        outage: this process's view of the store's health.
        fallback: what answers in an outage.
    """

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

    def _steps(self, plan: Generator[Request, Any, T]) -> Generator[Step, Any, T]:
        answer = None
        try:
            while True:
                request = plan.send(answer)
                if isinstance(request, Ask):
                    answer = yield from self._ask(request)
                elif isinstance(request, Send):
                    answer = yield from self._send(request)
                else:
                    answer = yield request
        except StopIteration as done:
            result: T = done.value
            return result
        finally:
            plan.close()  # and not whenever the exception is forgotten

    def _send(self, send: Send) -> Steps:
        try:
            return (yield from self._command(*send.command, is_write=send.command[0] in WRITES))
        except StoreUnavailable:
            if not send.may_fail:
                raise
        return None

    def _ask(self, ask: Ask) -> Steps:
        try:
            if ask.local_args is not None and self._outage.check() and self._fallback:
                probe = ("SET", self._fallback.probe_key, "1", "PX", 1000)
                yield from self._command(*probe, is_write=True)
            return (yield from self._script(ask))
        except StoreUnavailable as error:
            if self._fallback is None or ask.local_args is None:
                raise
            given = dict(zip(ask.script.args, ask.args, strict=True)) | dict(ask.local_args)
            return self._fallback.answer(self._outage.number, ask.script.name, given, error)

    def _script(self, ask: Ask) -> Steps:
        sent = (len(ask.keys), *ask.keys, *ask.args)
        is_write = ask.script.name != "snapshot"
        try:
            return (
                yield from self._command("EVALSHA", ask.script.sha, *sent, is_write=is_write)
            )
        except redis.exceptions.NoScriptError:
            return (yield from self._command("EVAL", ask.script.body, *sent, is_write=is_write))

    def _command(self, *words: str | int, is_write: bool) -> Steps:
        command = Command(words)
        try:
            answer = yield command
        except redis.exceptions.NoScriptError:
            self._outage.ended(is_write=False)
            raise
        except (redis.RedisError, OSError) as error:
            verdict = translate(error, self.target)
            if isinstance(verdict, StoreUnavailable):
                self._outage.failed(verdict, command.sent_at, is_read_only=only_reads(error))
            else:
                self._outage.ended(is_write=is_write)
            if isinstance(error, redis.exceptions.ReadOnlyError):
                yield Drop()  # the primary became a replica
            raise verdict from error
        self._outage.ended(is_write=is_write)
        return answer
