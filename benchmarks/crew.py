"""Processes that measure together, and that cannot outlive the run."""

import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Self

# Fork would hand down the parent's connections and threads; workers do not start like that.
SPAWN = multiprocessing.get_context("spawn")
# Seconds that a crew gets for one answer.
PATIENCE = 30.0


def now() -> float:
    """Seconds of a clock that all processes of this machine share."""
    return time.clock_gettime(time.CLOCK_MONOTONIC)


class Crew:
    """`count` processes running `work(connection, number, *args)`, as a context manager.

    A member must end when `connection` ends: that is how it notices that this process was
    killed, because then nothing closes it in order.
    """

    def __init__(self, size: int, work: Callable[..., None], *args: Any) -> None:
        self._ends: list[Connection] = []
        self._members: list[BaseProcess] = []
        for number in range(size):
            end, other = SPAWN.Pipe()
            member = SPAWN.Process(target=work, args=(other, number, *args), daemon=True)
            self._ends.append(end)
            self._members.append(member)
            member.start()
            other.close()

    def ask(self, message: Any) -> list[Any]:
        """Tell all the same and wait for the answer of each.

        Raises:
            TimeoutError: a process did not answer in time.
        """
        for end in self._ends:
            end.send(message)
        deadline = now() + PATIENCE
        answers = []
        for end in self._ends:
            if not end.poll(max(0.0, deadline - now())):
                message = f"a process of the benchmark did not answer within {PATIENCE:g} s"
                raise TimeoutError(message)
            answers.append(end.recv())
        return answers

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        for end in self._ends:
            end.close()
        deadline = now() + 5.0
        for member in self._members:
            member.join(max(0.0, deadline - now()))
        for member in self._members:
            if member.is_alive():
                member.kill()
            member.join()
