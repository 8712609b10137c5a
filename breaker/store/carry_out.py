"""Carry out what a plan asks for: the logic of both drivers, once.

It is a generator like the plans above it. It yields the few things that the drivers do each in
their own way: run a command, drop the connections, sleep, tell. An error of a command is thrown
into it.
"""

import contextlib
import logging
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import redis

from breaker.errors import BreakerStopped, StoreError, StoreRefused, StoreUnavailable
from breaker.model import Transition
from breaker.protocol.requests import Ask, Request, Send, Sleep, Tell
from breaker.store.command import Command
from breaker.store.fallback import Fallback
from breaker.store.outage import Outage
from breaker.store.target import Target
from breaker.store.verdicts import FAILURES, only_reads, translate

T = TypeVar("T")

# Plain commands that write. All scripts do, but for `snapshot`.
WRITES = ("SADD", "SET", "SREM")
# Scripts that leave something to hand in if an outage kept them or their reply: an error to be
# counted, a lease that no worker knows of.
OWED = ("acquire", "rate_limit_error")

_LOGGER = logging.getLogger("breaker")


@dataclass(frozen=True, slots=True)
class Drop:
    """Close the connections: the host name may lead to another server by now."""


Step = Command | Drop | Sleep | Tell
Steps = Generator[Step, Any, Any]


class Store:
    """One store, as a driver has it for one breaker.

    Args:
        target: where it is.
        tell: what logs and alerts transitions.
        outage: this process's view of the store's health.
        fallback: what answers in an outage.
        hand_in: the plan that hands in the reports that an outage kept from the store.
    """

    def __init__(
        self,
        target: Target,
        tell: Callable[[tuple[Transition, ...]], None],
        outage: Outage | None = None,
        fallback: Fallback | None = None,
        hand_in: Callable[[], Generator[Request, Any, Any]] | None = None,
    ) -> None:
        self.target = target
        self._outage = outage or Outage(target, is_told=False)
        self._fallback = fallback
        self._hand_in = hand_in
        self._tell = tell
        self.is_stopped = False
        self._is_refused = False
        self._wakers: set[Callable[[], None]] = set()

    @staticmethod
    def who() -> int:
        """Name the caller: the running thread or task."""
        raise NotImplementedError

    # -- life

    def stop(self) -> None:
        """Wake all that sleep here; from now on nothing is done any more."""
        self.is_stopped = True
        for wake in tuple(self._wakers):
            wake()

    def is_news(self, failure: Exception) -> bool:
        """Whether this failure is to be logged: not the same refusal for each job."""
        if isinstance(failure, StoreRefused):
            was_refused, self._is_refused = self._is_refused, True
            return not was_refused
        return not isinstance(failure, BreakerStopped)

    @contextlib.contextmanager
    def _waked(self, sleep: Sleep, wake: Callable[[], None]) -> Iterator[bool]:
        """Have `wake` called when a sleep is to end; whether there is anything to sleep for."""
        watch = sleep.watch
        stop = watch.notify(wake) if watch is not None else None
        self._wakers.add(wake)
        try:
            is_changed = watch is not None and watch.serial != sleep.serial
            yield not (is_changed or self.is_stopped)
        finally:
            self._wakers.discard(wake)
            if stop is not None:
                stop()

    def owe(self) -> None:
        """Have something handed in with the next command."""
        if self._hand_in:
            self._outage.owe(self._hand_in)

    # -- plans

    def _steps(self, plan: Generator[Request, Any, T]) -> Generator[Step, Any, T]:
        answer = None
        try:
            while True:
                request = plan.send(answer)
                if isinstance(request, Tell):
                    answer = yield request
                    continue
                self._check_stopped()
                if isinstance(request, Sleep):
                    answer = yield request
                    self._check_stopped()
                else:
                    answer = yield from self._answer(request)
        except StopIteration as done:
            result: T = done.value
            return result
        finally:
            plan.close()  # and not whenever the exception is forgotten

    def _check_stopped(self) -> None:
        if self.is_stopped:
            raise BreakerStopped

    def _answer(self, request: Ask | Send) -> Steps:
        yield from self._hand_in_owed()
        if isinstance(request, Ask):
            answer = yield from self._ask(request)
        else:
            answer = yield from self._send(request)
        yield from self._hand_in_owed()
        return answer

    def _hand_in_owed(self) -> Steps:
        """Hand in what any breaker of this process owes the store, now that it is back."""
        owed = self._outage.take_owed()
        for number, hand_in in enumerate(owed):
            try:
                if (yield from self._steps(hand_in())):
                    self._outage.owe(hand_in)
            except StoreError:
                for rest in owed[number:]:
                    self._outage.owe(rest)
                return

    def _send(self, send: Send) -> Steps:
        try:
            return (yield from self._command(*send.command, is_write=send.command[0] in WRITES))
        except StoreUnavailable:
            if not send.may_fail:
                raise
        except StoreRefused as refusal:
            if not send.may_fail:
                raise
            _LOGGER.warning("%s (%s); the breaker goes on without it", refusal, send.command[0])
            return 0
        return None

    def _ask(self, ask: Ask) -> Steps:
        is_sent = False
        try:
            if ask.local_args is not None and self._outage.check() and self._fallback:
                probe = ("SET", self._fallback.probe_key, "1", "PX", 1000)
                yield from self._command(*probe, is_write=True)
                yield from self._hand_in_owed()  # what this asks may depend on it
            is_sent = True
            answer = yield from self._script(ask)
        except StoreUnavailable as error:
            if self._fallback is None or ask.local_args is None:
                raise
            return self._answer_locally(ask, error, is_sent=is_sent)
        if self._is_refused:
            self._is_refused = False
            _LOGGER.warning("the store at %s does what it is asked again", self.target)
        return answer

    def _answer_locally(
        self, ask: Ask, error: StoreUnavailable, *, is_sent: bool
    ) -> dict[str, Any]:
        assert self._fallback is not None  # noqa: S101 - its caller has looked
        if self._hand_in and ask.script.name in OWED:
            self._outage.owe(self._hand_in)
        given = dict(zip(ask.script.args, ask.args, strict=True)) | dict(ask.local_args or {})
        reply = self._fallback.answer(self._outage.number, ask.script.name, given, error)
        return reply | {"may_have_run": is_sent}

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
        command = Command(words, self._outage)
        try:
            answer = yield command
        except redis.exceptions.NoScriptError:
            self._outage.ended(is_write=False)
            raise
        except FAILURES as error:
            verdict = translate(error, self.target)
            if isinstance(verdict, StoreUnavailable):
                self._outage.failed(verdict, command.sent_at, is_read_only=only_reads(error))
            else:
                self._outage.ended(is_write=is_write)
            if isinstance(error, redis.exceptions.ReadOnlyError):
                yield Drop()  # the primary became a replica
            # Without the cause: the frames of redis-py hold the password, which tools that show
            # local variables would then show.
            raise verdict from None
        self._outage.ended(is_write=is_write)
        return answer
