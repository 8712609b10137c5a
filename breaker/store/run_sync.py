"""Drive a plan with blocking I/O."""

import contextlib
import itertools
import threading
from collections.abc import Callable, Generator
from typing import Any, TypeVar

from breaker.errors import BreakerError
from breaker.protocol.requests import Request, Sleep, Tell
from breaker.store.carry_out import Drop, Step, Store
from breaker.store.command import Command
from breaker.store.pool import Pools, give_back, lend
from breaker.store.way import Look

T = TypeVar("T")

# The operating system gives the number of an ended thread to a new one.
_me = threading.local()
_numbers = itertools.count(1)


class SyncStore(Store):
    """One store, for the threads of this process."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._pools: Pools = lend(self.target)
        self._is_given_back = False

    def run(self, plan: Generator[Request, Any, T]) -> T:
        """Do what the plan asks for, until it has its result.

        Raises:
            StoreError: the store could not be asked.
            BreakerStopped: `close()` was called.
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
                return self._pools.of(step.node).run(step)
            case Drop():
                self._pools.drop()
            case Look(found, seconds):
                found.result(seconds)
            case Sleep():
                self._sleep(step)
            case Tell():
                self._tell(step, self.target)
        return None

    def _sleep(self, sleep: Sleep) -> None:
        woken = threading.Event()
        with self._waked(sleep, woken.set) as may_sleep:
            if may_sleep:
                woken.wait(sleep.seconds)

    def give_up(self, hand_in: Generator[Request, Any, Any]) -> None:
        """A caller was interrupted: give back what the store may have given it meanwhile."""
        self.owe()
        with contextlib.suppress(BreakerError):
            self.run(hand_in)

    @staticmethod
    def who() -> int:
        """The running thread, by a number that no later one gets."""
        number: int = getattr(_me, "number", 0)
        if not number:
            number = _me.number = next(_numbers)
        return number

    @staticmethod
    def call_blocking(function: Callable[[], None]) -> None:
        """Call what may block."""
        function()

    def close(self) -> None:
        """Give the connections back; a second time does nothing."""
        if not self._is_given_back:
            self._is_given_back = True
            give_back(self.target)
