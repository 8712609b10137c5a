"""Drive a plan with blocking I/O."""

import time
from collections.abc import Callable, Generator
from typing import Any, TypeVar

import redis

from breaker.errors import StoreUnavailable
from breaker.model import Transition
from breaker.protocol.requests import Ask, Request, Send, Sleep, Tell
from breaker.store.connect import WRITES, Target, give_back, lend, only_reads, translate
from breaker.store.fallback import Fallback
from breaker.store.outage import Outage

T = TypeVar("T")


class SyncStore:
    """One store, for the threads of this process."""

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
        self._client = lend(target)
        self._is_closed = False

    def run(self, plan: Generator[Request, Any, T]) -> T:
        """Do what the plan asks for, until it has its result.

        Raises:
            StoreError: the store could not be asked.
        """
        answer = None
        try:
            while True:
                answer = self._do(plan.send(answer))
        except StopIteration as done:
            result: T = done.value
            return result
        finally:
            plan.close()  # and not whenever the exception is forgotten

    def _do(self, request: Request) -> Any:
        match request:
            case Ask():
                return self._ask(request)
            case Send():
                return self._send(request)
            case Sleep(seconds, watch, serial) if watch is not None:
                watch.wait_for_change(serial, seconds)
            case Sleep(seconds):
                time.sleep(seconds)
            case Tell(transitions):
                self._tell(transitions)
        return None

    def _send(self, send: Send) -> Any:
        try:
            return self._command(*send.command, is_write=send.command[0] in WRITES)
        except StoreUnavailable:
            if not send.may_fail:
                raise
        return None

    def _ask(self, ask: Ask) -> Any:
        sent = (len(ask.keys), *ask.keys, *ask.args)
        try:
            if ask.local_args is not None and self._outage.check() and self._fallback:
                self._command("SET", self._fallback.probe_key, "1", "PX", 1000, is_write=True)
            is_write = ask.script.name != "snapshot"
            try:
                return self._command("EVALSHA", ask.script.sha, *sent, is_write=is_write)
            except redis.exceptions.NoScriptError:
                return self._command("EVAL", ask.script.body, *sent, is_write=is_write)
        except StoreUnavailable as error:
            if self._fallback is None or ask.local_args is None:
                raise
            given = dict(zip(ask.script.args, ask.args, strict=True)) | dict(ask.local_args)
            return self._fallback.answer(self._outage.number, ask.script.name, given, error)

    def _command(self, *command: str | int, is_write: bool) -> Any:
        asked_at = time.monotonic()
        try:
            answer = self._client.execute_command(*command)
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
                self._client.connection_pool.disconnect()
            raise told from error
        self._outage.ended(is_write=is_write)
        return answer

    def close(self) -> None:
        """Give the connections back; a second time does nothing."""
        if not self._is_closed:
            self._is_closed = True
            give_back(self.target)
