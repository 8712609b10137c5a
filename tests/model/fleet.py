"""A whole fleet on one clock that is moved by hand: real plans and views, the readable rules."""

import heapq
import itertools
import random
from collections.abc import Callable, Generator, Iterator
from functools import partial
from typing import Any

from breaker.errors import BreakerOpen
from breaker.machine import Machine
from breaker.machine.view import view
from breaker.model import Grant
from breaker.protocol.asking import Asker
from breaker.protocol.keys import Keys
from breaker.protocol.plans import Plans
from breaker.protocol.requests import Ask, Sleep
from breaker.push.view import View
from breaker.settings import Settings

# Seconds from one process to another.
LATENCY = 0.003

Steps = Generator[Any, None, Any]


class Watched:
    """A view that is fresh all the time."""

    def __init__(self, fleet: "Fleet") -> None:
        self._fleet = fleet
        self.view = View()
        self.meter = self.view.meter

    serial = property(lambda self: self.view.serial)
    last = property(lambda self: self.view.last)
    told_at = property(lambda self: self.view.told_at)

    def known(self) -> Any:
        return self.view.last if self.view.is_proven else None

    def grant(self) -> Grant | None:
        return self.view.grant

    def runs(self) -> bool:
        return self.view.runs

    def paused_left(self) -> float | None:
        return self.view.paused_left(self._fleet.now)

    def introduce(self, incarnation: str) -> None:
        self.view.introduce(incarnation)

    def learn(self, reply: Any) -> None:
        self.view.learn(reply, self._fleet.now)


class Fleet:
    """Processes, their workers, and the store.

    Attributes:
        now: seconds.
        commands: how many scripts were called.
        news: when the store announced anything.
    """

    def __init__(self, seed: int = 1, **options: Any) -> None:
        self.now = 1_000_000.0
        self.machine = Machine()
        self.commands = 0
        self.news: list[float] = []
        self.random = random.Random(seed).random
        self._settings = Settings.resolve({"threshold": 1, **options}, {})
        self._order = itertools.count()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._views: list[Watched] = []

    def process(self, name: str, *, push: bool = True) -> Plans:
        watch = Watched(self) if push else None
        keys = Keys("breaker", "fleet")
        asker = Asker(keys, "channel", name, self._settings, clock=lambda: self.now)
        plans = Plans(asker, watch, random=self.random)
        if watch:
            watch.view.learn(self.machine.snapshot(self.ms), self.now, is_proof=True)
            self._views.append(watch)
        return plans

    @property
    def ms(self) -> int:
        return int(self.now * 1000)

    def start(self, worker: Steps) -> None:
        self._at(0.0, lambda: self._go_on(worker))

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self._due and self._due[0][0] <= end:
            self.now, _, act = heapq.heappop(self._due)
            act()
        self.now = end

    def do(self, plan: Generator[Any, Any, Any]) -> Steps:
        """Drive a plan, as a store does: `result = yield from fleet.do(plan)`."""
        answer = None
        try:
            while True:
                request = plan.send(answer)
                answer = None
                if isinstance(request, Ask):
                    yield LATENCY
                    answer = self._answer(request)
                    yield LATENCY
                elif isinstance(request, Sleep):
                    yield request
        except StopIteration as done:
            return done.value

    def at_once(self, plan: Generator[Any, Any, Any]) -> Any:
        """Drive a plan that does not sleep."""
        steps = self.do(plan)
        try:
            while True:
                next(steps)
        except StopIteration as done:
            return done.value

    def _answer(self, ask: Ask) -> Any:
        self.commands += 1
        before = self.machine.news
        given = dict(zip(ask.script.args, ask.args, strict=True))
        reply = self.machine.answer(ask.script.name, self.ms, given)
        if self.machine.news > before:
            self.news.append(self.now)
            told = view(self.machine)
            for watch in self._views:
                self._at(LATENCY, partial(self._hear, watch, told))
        return reply

    def _hear(self, watch: Watched, told: Any) -> None:
        if watch.view.hear(told, self.now):
            watch.view.learn(self.machine.snapshot(self.ms), self.now, is_proof=True)

    def _at(self, seconds: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._due, (self.now + seconds, next(self._order), act))

    def _go_on(self, worker: Steps) -> None:
        try:
            wanted = next(worker)
        except StopIteration:
            return
        if not isinstance(wanted, Sleep):
            self._at(wanted, lambda: self._go_on(worker))
            return
        is_over = False

        def wake() -> None:
            nonlocal is_over
            if not is_over:
                is_over = True
                stop()
                self._at(0.0, lambda: self._go_on(worker))

        watch: Any = wanted.watch
        stop: Callable[[], None] = watch.view.notify(wake) if watch else lambda: None
        if watch and watch.serial != wanted.serial:
            wake()
        else:
            self._at(max(wanted.seconds, 1e-6), wake)  # floats: now + less is now


def jobs(
    fleet: Fleet,
    plans: Plans,
    call: Callable[[], float | None],
    done: list[float],
    *,
    timeout: float | None = None,
    pause: float = 0.05,
) -> Iterator[Any]:
    """One worker after another job: `call` is the upstream, and says None or a Retry-After."""
    while True:
        try:
            grant = yield from fleet.do(plans.acquire(timeout))
        except BreakerOpen:
            yield pause
            continue
        retry_after = call()
        yield 0.02
        if retry_after is not None:
            yield from fleet.do(plans.rate_limit_error(retry_after, None, grant))
            continue
        done.append(fleet.now)
        plans.meter.done += 1
        if grant.is_probe or not grant.is_paced:
            yield from fleet.do(plans.success(grant))
