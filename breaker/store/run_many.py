"""Drive many plans at once: the commands that all of them ask for go out in one round trip.

In a cluster it is one for each of its primaries.
"""

from collections import defaultdict
from collections.abc import Generator, Iterable, Iterator
from itertools import islice
from typing import Any, Generic, TypeVar

from breaker.errors import StoreError
from breaker.protocol.requests import Request
from breaker.store.carry_out import Step
from breaker.store.command import Command
from breaker.store.run_sync import SyncStore
from breaker.store.verdicts import FAILURES

# How many plans share a round trip: at 60 us for each, the store answers all of them in 15 ms.
BATCH = 250

T = TypeVar("T")


class _Run(Generic[T]):
    """One plan on its way: the command that it waits for, then its result."""

    def __init__(self, steps: Generator[Step, Any, T]) -> None:
        self.steps = steps
        self.command: Command | None = None
        self.answer: Any = None
        self.result: T | StoreError | None = None

    def resume(self) -> Step:
        """Hand in the answer, or the error in its place."""
        if isinstance(self.answer, Exception):
            return self.steps.throw(self.answer)
        return self.steps.send(self.answer)


class BatchStore(SyncStore):
    """A store that is asked about many breakers. For plans that only read."""

    def run_all(self, plans: Iterable[Generator[Request, Any, T]]) -> Iterator[T | StoreError]:
        """Yield the result of each plan, in order, or the error that stands in its place."""
        left = iter(plans)
        while batch := [*islice(left, BATCH)]:
            yield from self._run_batch(batch)

    def _run_batch(self, plans: list[Generator[Request, Any, T]]) -> Iterator[T | StoreError]:
        running = [_Run(self._steps(plan)) for plan in plans]
        waiting = running
        while waiting := [one for one in waiting if self._waits_for_command(one)]:
            self._ask_together(waiting)
        for one in running:
            assert one.result is not None  # noqa: S101 - none waits any more
            yield one.result

    def _waits_for_command(self, one: _Run[Any]) -> bool:
        try:
            step = one.resume()
            while not isinstance(step, Command):
                step = self._next(one, step)
        except StopIteration as done:
            one.result = done.value
        except StoreError as error:
            one.result = error
        else:
            one.command = step
            return True
        return False

    def _next(self, one: _Run[Any], step: Step) -> Step:
        try:
            answer = self._do(step)
        except Exception as error:  # noqa: BLE001 - the steps know what to do with it
            return one.steps.throw(error)
        return one.steps.send(answer)

    def _ask_together(self, waiting: list[_Run[Any]]) -> None:
        by_node: defaultdict[str, list[tuple[_Run[Any], Command]]] = defaultdict(list)
        for one in waiting:
            assert one.command is not None  # noqa: S101 - that is what it waits for
            by_node[one.command.node.identity].append((one, one.command))
        for group in by_node.values():
            commands = [command for _, command in group]
            try:
                answers = self._pools.of(commands[0].node).run_all(commands)
            except (StoreError, *FAILURES) as error:
                answers = [error] * len(group)
            for (one, _), answer in zip(group, answers, strict=True):
                one.answer = answer
