"""Drive a plan with blocking I/O."""

import time
from collections.abc import Callable, Generator
from typing import Any, TypeVar

from breaker.model import Transition
from breaker.protocol.requests import Request, Sleep, Tell
from breaker.store.carry_out import Command, Drop, Step, Store
from breaker.store.connect import give_back, lend
from breaker.store.fallback import Fallback
from breaker.store.outage import Outage
from breaker.store.target import Target

T = TypeVar("T")


class SyncStore(Store):
    """One store, for the threads of this process."""

    def __init__(
        self,
        target: Target,
        tell: Callable[[tuple[Transition, ...]], None],
        outage: Outage | None = None,
        fallback: Fallback | None = None,
    ) -> None:
        super().__init__(target, tell, outage, fallback)
        self._client = lend(target)
        self._is_closed = False

    def run(self, plan: Generator[Request, Any, T]) -> T:
        """Do what the plan asks for, until it has its result.

        Raises:
            StoreError: the store could not be asked.
        """
        steps = self._steps(plan)
        try:
            step = next(steps)
            while True:
                try:
                    answer = self._do(step)
                except Exception as error:  # noqa: BLE001 - the steps know what to do with it
                    step = steps.throw(error)
                else:
                    step = steps.send(answer)
        except StopIteration as done:
            result: T = done.value
            return result
        finally:
            steps.close()

    def _do(self, step: Step) -> Any:
        match step:
            case Command():
                step.sent_at = time.monotonic()
                return self._client.execute_command(*step.words)
            case Drop():
                self._client.connection_pool.disconnect()
            case Sleep(seconds, watch, serial) if watch is not None:
                watch.wait_for_change(serial, seconds)
            case Sleep(seconds):
                time.sleep(seconds)
            case Tell(transitions):
                self._tell(transitions)
        return None

    @staticmethod
    def call_blocking(function: Callable[[], None]) -> None:
        """Call what may block."""
        function()

    def close(self) -> None:
        """Give the connections back; a second time does nothing."""
        if not self._is_closed:
            self._is_closed = True
            give_back(self.target)
