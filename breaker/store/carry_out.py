"""Carry out what a plan asks for: the logic of both drivers, once.

It is a generator like the plans above it. It yields the few things that the drivers do each in
their own way: run a command, drop the connections, sleep, tell. An error of a command is thrown
into it.
"""

import contextlib
import logging
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import redis

from breaker.errors import BreakerStopped, StoreError, StoreRefused, StoreUnavailable
from breaker.protocol.requests import Ask, Request, Send, Sleep, Tell
from breaker.store.command import Command
from breaker.store.debts import Debts, debts_to
from breaker.store.fallback import Fallback
from breaker.store.outage import Outage
from breaker.store.target import Target
from breaker.store.topology import Shard, topology_of
from breaker.store.verdicts import FAILURES, code_of, is_moving, only_reads, translate
from breaker.store.way import Look, Way

T = TypeVar("T")

# Plain commands that write. All scripts do, but for `snapshot`.
WRITES = ("SADD", "SET", "SREM")
# Scripts that leave something to hand in if an outage kept them or their reply: an error to be
# counted, a lease that no worker knows of.
OWED = ("acquire", "rate_limit_error")
# Seconds for which keys that move are left alone, but for what jobs report themselves.
SETTLING = 1.0
# Seconds for which the local breaker remembers what it counted while keys move.
UNSETTLED = 10.0

_LOGGER = logging.getLogger("breaker")


@dataclass(frozen=True, slots=True)
class Drop:
    """Close the connections: the host name may lead to another server by now."""


Step = Command | Drop | Look | Sleep | Tell
Steps = Generator[Step, Any, Any]


class Store:
    """One store, as a driver has it for one breaker.

    Args:
        target: where it is.
        tell: what logs and alerts transitions.
        outage_of: this process's view of the health of each shard.
        fallback: what answers in an outage.
        hand_in: the plan that hands in the reports that an outage kept from the store.
        key: one of the breaker's keys, which says in which shard it is.
    """

    def __init__(
        self,
        target: Target,
        tell: Callable[[Tell, Target], None],
        outage_of: Callable[[Shard], Outage] | None = None,
        fallback: Fallback | None = None,
        hand_in: Callable[[], Generator[Request, Any, Any]] | None = None,
        *,
        key: str = "",
    ) -> None:
        self.target = target
        self._topology = topology_of(target)
        self._outage_of = outage_of or _own_outages()
        self._fallback = fallback
        self._hand_in = hand_in
        self._key = key
        self._debts = debts_to(target) if outage_of else Debts()
        self._tell = tell
        self.is_stopped = False
        # The breaker's keys are on their way to another server; until then, nothing is handed in.
        self._settles_at = 0.0
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

    @property
    def _outage(self) -> Outage:
        """This process's view of the health of the server that has this breaker."""
        return self._outage_of(self._topology.shard_of(self._key))

    def is_away(self) -> bool:
        """Whether the server that has this breaker is taken to be down."""
        return self._outage.is_on

    def _is_unsettled(self) -> bool:
        """Whether the breaker's keys cannot be used now: its server is down, or they move."""
        return self.is_away() or time.monotonic() < self._settles_at

    def owe(self) -> None:
        """Have something handed in with the next command."""
        if self._hand_in:
            self._debts.add(self._hand_in, self._is_unsettled)

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
        owed = self._debts.take()
        for number, (hand_in, is_away) in enumerate(owed):
            try:
                if (yield from self._steps(hand_in())):
                    self._debts.add(hand_in, is_away)
            except StoreError:
                for rest in owed[number:]:
                    self._debts.add(*rest)
                return

    def _send(self, send: Send) -> Steps:
        try:
            if send.may_fail and self.target.is_cluster:
                # The list of names may be on a server that is down, this breaker is not.
                self._outage_of(self._topology.shard_for(send.command)).check()
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
        shard = self._topology.shard_of(ask.keys[0])
        try:
            is_tried = ask.local_args is not None and self._outage_of(shard).check()
            if is_tried and self._fallback:
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
        outage = self._outage_of(self._topology.shard_of(ask.keys[0]))
        if not outage.is_on:
            self._settles_at = time.monotonic() + SETTLING
        if ask.script.name in OWED:
            self.owe()
        given = dict(zip(ask.script.args, ask.args, strict=True)) | dict(ask.local_args or {})
        # The keys may just be on their way to another server, which is no outage.
        which = outage.number if outage.is_on else -int(time.monotonic() / UNSETTLED)
        reply = self._fallback.answer((outage, which), ask.script.name, given, error)
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
        way = Way(self._topology, words, self._outage_of)
        while True:
            command = yield from self._found(way)
            try:
                answer = yield command
            except redis.exceptions.NoScriptError:
                way.outage.ended(is_write=False)
                raise
            except FAILURES as error:
                if (yield from way.leads_on(error, command)):
                    continue
                verdict = yield from self._failed(error, way, command, is_write=is_write)
                # Without the cause: the frames of redis-py hold the password, which tools that
                # show local variables would then show.
                raise verdict from None
            way.outage.ended(is_write=is_write)
            return answer

    def _found(self, way: Way) -> Generator[Step, Any, Command]:
        """Find out where a command is to be sent."""
        asked_at = time.monotonic()
        try:
            return (yield from way.command())
        except (StoreUnavailable, TimeoutError) as error:
            verdict = translate(error, self.target) if isinstance(error, OSError) else error
            assert isinstance(verdict, StoreUnavailable)  # noqa: S101 - as a time-out is
            way.outage.failed(verdict, asked_at)
            raise verdict from None

    def _failed(
        self, error: Exception, way: Way, command: Command, *, is_write: bool
    ) -> Generator[Step, Any, StoreError]:
        """Note what a command failed by, and translate it."""
        verdict = translate(error, self.target, str(way.shard))
        if is_moving(error):
            way.note_move()
            return verdict
        if isinstance(verdict, StoreUnavailable):
            way.outage.failed(verdict, command.sent_at, is_read_only=only_reads(error))
        else:
            way.outage.ended(is_write=is_write)
        if code_of(error) == "READONLY":
            yield Drop()  # the primary became a replica
        return verdict


def _own_outages() -> Callable[[Shard], Outage]:
    """Views of the shards' health that are not shared, and that nothing is logged of."""
    known: dict[str, Outage] = {}

    def outage_of(shard: Shard) -> Outage:
        return known.setdefault(shard.identity, Outage(shard, is_told=False))

    return outage_of
