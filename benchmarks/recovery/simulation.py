"""A fleet on a virtual clock: `python -m benchmarks.recovery.simulation`.

Nothing of the breaker is written a second time. Workers drive the plans that real workers drive
(`breaker.protocol.plans`), views are fed as real ones are (`breaker.push.view`), and the store is
the readable statement of the Lua (`breaker.machine`) that a property test holds equal to it. Only
the driver is made up: here a request takes a round trip of virtual time.
"""

import argparse
import heapq
import itertools
import json
import math
import random
import sys
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from benchmarks.recovery.policies import POLICIES
from benchmarks.recovery.score import Logged, Score, score
from benchmarks.recovery.shapes import FEWEST, MOST, WORK, shape_named, shapes
from benchmarks.recovery.upstreams import Shape
from breaker.machine import Machine
from breaker.model import Grant
from breaker.protocol.asking import Asker
from breaker.protocol.keys import Keys
from breaker.protocol.meter import Meter
from breaker.protocol.plans import Plans
from breaker.protocol.requests import Ask, Send, Sleep, Tell
from breaker.push.view import View
from breaker.settings import Settings

# Seconds: there and back to the store; until a push arrives; until a refusal is back.
ROUND_TRIP, PUSH, REFUSAL = 0.001, 0.002, 0.005
# How much the time that a call takes scatters, and how late a sleeper wakes up, at most.
SCATTER, LATE = 0.2, 0.001
# How often a worker's subscription looks after its views, and the offset of all store times.
TICK, EPOCH_MS = 1.0, 1_700_000_000_000
RUNS = ("none", "plain", "plain-retry-after", "probe", "pace")

Thread = Generator[Any, Any, Any]


class World:
    """The virtual clock, and what is to happen when."""

    def __init__(self, seed: int) -> None:
        self.now = 0.0
        self.random = random.Random(seed)  # noqa: S311 - a run that can be repeated
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._serial = itertools.count()

    def at(self, when: float, act: Callable[[], None]) -> None:
        """Have something happen."""
        heapq.heappush(self._due, (when, next(self._serial), act))

    def run(self, until: float) -> None:
        """Let time pass."""
        while self._due and self._due[0][0] <= until:
            self.now, _, act = heapq.heappop(self._due)
            act()


class Store:
    """The machine, and the push to all who listen."""

    def __init__(self, world: World) -> None:
        self.commands = 0
        self.messages = 0
        self._world = world
        self._machine = Machine()
        self.listeners: list[Process] = []

    def answer(self, ask: Ask) -> dict[str, Any]:
        """What the script would answer now."""
        self.commands += 1
        given = dict(zip(ask.script.args, ask.args, strict=True))
        given.pop("channel")
        news = self._machine.news
        reply = self._machine.answer(ask.script.name, self.ms, given | {"channel": ""})
        if self._machine.news != news:
            self._publish()
        return reply

    @property
    def history(self) -> list[dict[str, Any]]:
        """Every transition there was."""
        return self._machine.history

    @property
    def ms(self) -> int:
        """The store's clock."""
        return EPOCH_MS + int(self._world.now * 1000)

    def _publish(self) -> None:
        self.messages += 1
        self._machine.listeners = len(self.listeners)
        told = self._machine.snapshot(self.ms)
        self._world.at(self._world.now + PUSH, partial(self._tell, told))

    def _tell(self, told: dict[str, Any]) -> None:
        for listener in self.listeners:
            listener.view.hear(told, self._world.now)


class Known:
    """What a worker knows by push: `breaker.push.watch` over a connection that never fails."""

    def __init__(self, world: World, view: View) -> None:
        self._world = world
        self.view = view
        self.meter: Meter = view.meter

    @property
    def serial(self) -> int:
        """See Watching."""
        return self.view.serial

    @property
    def last(self) -> dict[str, Any]:
        """See Watching."""
        return self.view.last

    @property
    def told_at(self) -> float:
        """See Watching."""
        return self.view.told_at

    def known(self) -> dict[str, Any]:
        """See Watching."""
        return self.view.last

    def grant(self) -> Grant | None:
        """See Watching."""
        return self.view.grant

    def runs(self) -> bool:
        """See Watching."""
        return self.view.runs

    def is_quiet(self) -> bool:
        """See Watching."""
        return self.view.is_quiet

    def paused_left(self) -> float | None:
        """See Watching."""
        return self.view.paused_left(self._world.now)

    def introduce(self, incarnation: str) -> None:
        """See Watching."""
        self.view.introduce(incarnation)

    def learn(self, reply: dict[str, Any]) -> None:
        """See Watching."""
        self.view.learn(reply, self._world.now)

    def notify(self, wake: Callable[[], None]) -> Callable[[], None]:
        """See Watching."""
        return self.view.notify(wake)

    def wait_for_change(self, serial: int, seconds: float) -> None:
        """See Watching; nothing blocks here."""
        raise NotImplementedError


class Process:
    """A worker process: one view, whatever the number of its threads."""

    def __init__(self, world: World, store: Store, settings: Settings, number: int) -> None:
        self.view = View()
        keys, name = Keys("breaker", "simulated"), f"worker-{number}"
        self.asker = Asker(keys, "changes", name, settings, clock=lambda: world.now)
        watch = Known(world, self.view)
        self.plans = Plans(self.asker, watch, random=world.random.random)
        self._world, self._store = world, store
        store.listeners.append(self)
        world.at(world.random.random() * TICK, self._tick)
        self._prove()

    def _tick(self) -> None:
        now = self._world.now
        if self.view.runs:
            self.view.meter.mark(now)
        if self.view.wants_proof(now):
            self._prove()
        self._world.at(now + TICK, self._tick)

    def _prove(self) -> None:
        plan = self.asker.read()
        reply = self._store.answer(next(plan))
        self.view.learn(reply, self._world.now, is_proof=True)


@dataclass(frozen=True)
class Call:
    """A thread calls the upstream."""


@dataclass
class Upstream:
    """The shape's limiter, and its log."""

    world: World
    shape: Shape
    log: list[Logged] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._limiter = self.shape.limiter()

    def call(self, resume: Callable[[Any], None]) -> None:
        """Answer None, or the Retry-After of a refusal in a tuple."""
        world = self.world
        tokens = world.random.uniform(FEWEST, MOST)
        wait = self._limiter.take(world.now, tokens)
        self.log.append(Logged(world.now, tokens, wait <= 0))
        if wait > 0:
            world.at(world.now + REFUSAL, partial(resume, (self.shape.hint(wait),)))
            return
        takes = WORK * (1 + SCATTER * (2 * world.random.random() - 1))
        world.at(world.now + takes, partial(self._finish, resume))

    def _finish(self, resume: Callable[[Any], None]) -> None:
        self._limiter.finish(self.world.now)
        resume(None)


class Driver:
    """Drives one thread: what `breaker.store.run_sync` is in the real world."""

    def __init__(self, world: World, store: Store, upstream: Upstream, thread: Thread) -> None:
        self._world, self._store, self._upstream = world, store, upstream
        self._thread = thread
        self._step = 0

    def resume(self, answer: Any = None) -> None:
        """Go on with an answer."""
        self._step += 1
        request = self._thread.send(answer)
        world = self._world
        match request:
            case Ask():
                world.at(world.now + ROUND_TRIP / 2, partial(self._ask, request))
            case Send():
                world.at(world.now + ROUND_TRIP, partial(self.resume, 1))
            case Tell():
                world.at(world.now, self.resume)
            case Sleep(seconds, watch, serial) if watch is not None:
                self._sleep(seconds, watch, serial)
            case Sleep(seconds):
                world.at(world.now + seconds + LATE * world.random.random(), self.resume)
            case Call():
                self._upstream.call(self.resume)

    def _ask(self, request: Ask) -> None:
        reply = self._store.answer(request)
        self._world.at(self._world.now + ROUND_TRIP / 2, partial(self.resume, reply))

    def _sleep(self, seconds: float, watch: Any, serial: int) -> None:
        step = self._step
        world = self._world

        def wake() -> None:
            if self._step == step:
                self._step += 1
                stop()
                world.at(world.now, self.resume)

        stop = watch.notify(wake)
        if watch.serial != serial:
            wake()
        else:
            world.at(world.now + seconds + LATE * world.random.random(), wake)


def unguarded(_: Plans) -> Thread:
    """A thread without a breaker."""
    while True:
        yield Call()


def guarded(plans: Plans, think: Callable[[], float], *, heeds: bool) -> Thread:
    """A thread that does what a guard does, job after job."""
    while True:
        grant = yield from plans.acquire(None)
        refused = yield Call()
        if refused is not None:
            retry_after = refused[0] if heeds else None
            yield from plans.rate_limit_error(retry_after, None, grant)
        elif plans.has_to_be_told(grant):
            yield from plans.success(grant)
        if (pause := think()) > 0:
            yield Sleep(pause)


@dataclass(frozen=True)
class Fleet:
    """How large a simulated fleet is, and how much it wants.

    Attributes:
        workers: processes.
        threads: of each.
        demand: jobs per second that all of them together would do unlimited, at most.
        cooldown: the breakers' option, in seconds.
    """

    workers: int = 50
    threads: int = 4
    demand: float = 400.0
    cooldown: float = 60.0

    @property
    def think(self) -> float:
        """Seconds between two jobs of a thread."""
        return max(0.0, self.workers * self.threads / self.demand - WORK)


@dataclass(frozen=True)
class Simulated:
    """One run: its score, what it cost the store per second, and what the breaker did."""

    score: Score
    history: list[dict[str, Any]]
    commands: float
    messages: float
    took: float


def simulate(
    shape: Shape, policy: str, fleet: Fleet, duration: float, seed: int = 1
) -> Simulated:
    """Run one policy against one shape."""
    began = time.perf_counter()
    fleet = replace(fleet, demand=shape.demand or fleet.demand)
    world = World(seed)
    store, upstream = Store(world), Upstream(world, shape)
    recovery = POLICIES[policy].recovery
    settings = Settings.resolve(
        {"recovery": recovery or "resume", "cooldown": fleet.cooldown}, {}
    )
    for number in range(fleet.workers):
        process = Process(world, store, settings, number) if recovery else None
        for _ in range(fleet.threads):
            thread = _thread(world, process, fleet, heeds=policy != "plain")
            driver = Driver(world, store, upstream, thread)
            world.at(world.random.random() * 0.05, driver.resume)
    world.run(duration)
    return Simulated(
        score(upstream.log, shape, duration),
        store.history,
        store.commands / duration,
        store.messages / duration,
        time.perf_counter() - began,
    )


def _thread(world: World, process: Process | None, fleet: Fleet, *, heeds: bool) -> Thread:
    def think() -> float:
        return fleet.think * (0.5 + world.random.random())

    if process is None:
        return _idling(think)
    return guarded(process.plans, think, heeds=heeds)


def _idling(think: Callable[[], float]) -> Thread:
    while True:
        yield Call()
        if (pause := think()) > 0:
            yield Sleep(pause)


def main() -> int:
    """Print a line for each shape and policy, and write all of it as JSON."""
    given = _arguments()
    fleet = Fleet(given.workers, given.threads, given.demand, given.cooldown)
    rows = []
    for shape, policy in _wanted(given):
        run = simulate(shape, policy, fleet, given.seconds, given.seed)
        rows.append({"shape": shape.name, "policy": policy, **_plain(run)})
        print(_line(shape, policy, run), flush=True)  # noqa: T201 - it is a command
        for step in run.history if given.history else ():
            at = (step["at"] - EPOCH_MS) / 1000
            print(f"{at:9.2f} {step['event']:9} {step['reason']}")  # noqa: T201 - it is a command
    if given.json:
        with open(given.json, "w", encoding="utf-8") as file:  # noqa: PTH123 - a path as given
            json.dump(rows, file, indent=1)
    return 0


def _wanted(given: argparse.Namespace) -> Iterator[tuple[Shape, str]]:
    names = given.shapes.split(",") if given.shapes else [s.name for s in shapes()]
    for name in names:
        for policy in given.policies.split(","):
            yield shape_named(name, given.rate, given.seconds), policy


def _plain(run: Simulated) -> dict[str, Any]:
    return {
        "goodput": run.score.goodput,
        "waste": run.score.waste,
        "refused": run.score.refused,
        "back": run.score.back,
        "commands_per_second": run.commands,
        "pushes_per_second": run.messages,
    }


def _line(shape: Shape, policy: str, run: Simulated) -> str:
    scored = run.score
    back = "-" if scored.back is None else f"{scored.back:.1f} s"
    return (
        f"{shape.name:18} {policy:18} goodput {scored.goodput:.3f}  waste {scored.waste:7.2%}"
        f" ({scored.refused:5d})  back {'never' if scored.back == math.inf else back:>7}"
        f"  commands/s {run.commands:7.1f}  pushes/s {run.messages:5.2f}  took {run.took:4.1f} s"
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.recovery.simulation", description=__doc__
    )
    parser.add_argument("--shapes", default="", help="names, with commas (default: all)")
    parser.add_argument("--policies", default=",".join(RUNS))
    parser.add_argument("--workers", type=int, default=50, help="processes")
    parser.add_argument("--threads", type=int, default=4, help="of each process")
    parser.add_argument("--demand", type=float, default=400.0, help="jobs/s they would do")
    parser.add_argument("--rate", type=float, default=100.0, help="calls/s allowed")
    parser.add_argument("--cooldown", type=float, default=60.0, help="of the breakers")
    parser.add_argument("--seconds", type=float, default=600.0, help="of a run")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--history", action="store_true", help="what the breaker did, too")
    parser.add_argument("--json", help="write the figures there")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
