"""Drive a plan with blocking I/O."""

import time
from collections.abc import Callable, Generator
from typing import Any, TypeVar

import redis

from breaker.model import Transition
from breaker.protocol.plans import Ask, Request, Send, Sleep, Tell
from breaker.store.connect import Target, open_sync, translate

T = TypeVar("T")


class SyncStore:
    """One store, for the threads of this process."""

    def __init__(self, target: Target, tell: Callable[[tuple[Transition, ...]], None]) -> None:
        self.target = target
        self._tell = tell
        self._client = open_sync(target)

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

    def _do(self, request: Request) -> Any:
        match request:
            case Ask():
                return self._ask(request)
            case Send(command):
                return self._command(*command)
            case Sleep(seconds):
                time.sleep(seconds)
            case Tell(transitions):
                self._tell(transitions)
        return None

    def _ask(self, ask: Ask) -> Any:
        sent = (len(ask.keys), *ask.keys, *ask.args)
        try:
            return self._command("EVALSHA", ask.script.sha, *sent)
        except redis.exceptions.NoScriptError:
            return self._command("EVAL", ask.script.body, *sent)

    def _command(self, *command: str | int) -> Any:
        try:
            return self._client.execute_command(*command)
        except redis.exceptions.NoScriptError:
            raise
        except (redis.RedisError, OSError) as error:
            raise translate(error, self.target) from error

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
        self._client.connection_pool.disconnect()
