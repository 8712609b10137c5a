"""One run: an upstream, a fleet under one policy, a store; and what came of it."""

import http.client
import json
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass
from typing import Any

import redis

from benchmarks.crew import Crew, now
from benchmarks.recovery import server, worker
from benchmarks.recovery.calls import Place
from benchmarks.recovery.policies import POLICIES, breaker_of
from benchmarks.recovery.score import Logged
from benchmarks.recovery.shapes import WORK, shape_named
from breaker import Breaker
from breaker.errors import StoreError

LOOK_EVERY = 0.5
# Commands that keep a connection, and ours to count with; not the price of a call.
HOUSEKEEPING = {"auth", "client", "command", "config", "flushdb", "hello", "info", "ping"}
HOUSEKEEPING |= {"quit", "script", "select", "psubscribe", "punsubscribe", "subscribe"}


class Interrupted(Exception):  # noqa: N818 - a wish, not a mistake
    """The benchmark is to end."""


@dataclass(frozen=True)
class Plan:
    """What is to be run, and how large.

    Attributes:
        shape: the upstream's name.
        policy: the fleet's.
        rate: the upstream's calls per second.
        seconds: how long the run takes.
        cooldown: the pause where the upstream says nothing.
        workers: processes.
        threads: of each.
    """

    shape: str
    policy: str
    rate: float
    seconds: float
    cooldown: float
    workers: int
    threads: int


@dataclass(frozen=True)
class Outcome:
    """What was seen of a run.

    Attributes:
        plan: what was to be run.
        log: every call that the upstream had.
        paces: the breaker's pace at moments, None while it has none; empty without a breaker.
        commands: the store's commands for the fleet.
    """

    plan: Plan
    log: list[Logged]
    paces: list[tuple[float, float | None]]
    commands: int


class Gang:
    """Runs that begin and end together, so that none is disturbed by another's beginning."""

    def __init__(self, size: int, stop: threading.Event) -> None:
        self._meet = threading.Barrier(size)
        self._spawn = threading.Lock()
        self._stop = stop

    def run(self, plan: Plan, url: str) -> Outcome:
        """Prepare, wait for the others, run.

        Raises:
            Interrupted: the benchmark is to end.
        """
        place = Place(url, f"{plan.policy}-{plan.shape}", plan.cooldown)
        try:
            with ExitStack() as stack:
                with self._spawn:  # multiprocessing keeps book of its children without a lock
                    self._sleep(0.0)
                    fleet = _fleet(plan, place, stack.enter_context)
                fleet.prepare()
                self._meet.wait()
                return fleet.run(self._sleep)
        except BaseException as error:
            self._meet.abort()
            if isinstance(error, threading.BrokenBarrierError):
                raise Interrupted from error
            raise

    def _sleep(self, seconds: float) -> None:
        if self._stop.wait(max(0.0, seconds)):
            raise Interrupted


def _fleet(
    plan: Plan, place: Place, enter: Callable[[AbstractContextManager[Any]], Any]
) -> "Fleet":
    """Start the processes."""
    upstream = enter(Crew(1, server.serve, plan.shape, plan.rate, plan.seconds))
    port = upstream.ask("which port?")[0]
    crew = enter(
        Crew(plan.workers, worker.work, plan.policy, place, port, plan.threads, _besides(plan))
    )
    client = enter(redis.Redis.from_url(place.url))
    recovery = POLICIES[plan.policy].recovery
    watched = enter(breaker_of(place, recovery)) if recovery else None
    return Fleet(plan, port, crew, client, watched)


def _besides(plan: Plan) -> float:
    """Seconds that a job takes beside its call, for a fleet that wants what the shape says."""
    wanted = shape_named(plan.shape, plan.rate, plan.seconds).demand
    return worker.BESIDES if wanted is None else plan.workers * plan.threads / wanted - WORK


class Fleet:
    """The processes of a run, and the parent's eyes on them."""

    def __init__(
        self, plan: Plan, port: int, crew: Crew, client: redis.Redis, watched: Breaker | None
    ) -> None:
        self._plan = plan
        self._port = port
        self._crew = crew
        self._client = client
        self._watched = watched

    def prepare(self) -> None:
        """Return when every worker could begin."""
        self._crew.ask("ready?")

    def run(self, sleep: Callable[[float], None]) -> Outcome:
        """Give the go, look on, fetch the log."""
        paces: list[tuple[float, float | None]] = []
        before = _counted(self._client)
        self._asked("POST", "/start")
        began = now()
        self._crew.ask(self._plan.seconds)
        for number in range(1, int(self._plan.seconds / LOOK_EVERY) + 1):
            sleep(began + number * LOOK_EVERY - now())
            if self._watched:
                paces.append((now() - began, _pace(self._watched)))
        sleep(began + self._plan.seconds - now())
        sent = _sent(_counted(self._client) - before) - len(paces)
        log = [Logged(*call) for call in json.loads(self._asked("GET", "/log"))]
        return Outcome(self._plan, log, paces, sent)

    def _asked(self, method: str, path: str) -> bytes:
        client = http.client.HTTPConnection(server.HOST, self._port, timeout=30)
        try:
            client.request(method, path)
            return client.getresponse().read()
        finally:
            client.close()


def _pace(watched: Breaker) -> float | None:
    """The pace now; a look that a busy machine has not answered in time is no end of a run."""
    with suppress(StoreError):
        return getattr(watched.status(), "pace", None)
    return None


def _counted(client: redis.Redis) -> Counter[str]:
    """How often the store has run each command."""
    told: Any = client.info("commandstats")
    return Counter(
        {
            name.removeprefix("cmdstat_").partition("|")[0]: of["calls"]
            for name, of in told.items()
        }
    )


def _sent(counted: Counter[str]) -> int:
    """The commands that came from clients.

    What scripts do inside is counted with the rest, so where there are scripts they alone count.
    """
    scripts = counted["evalsha"] + counted["eval"]
    return scripts or sum(n for name, n in counted.items() if name not in HOUSEKEEPING)


def forget(client: redis.Redis) -> None:
    """Leave nothing of the run before."""
    client.flushdb()
    client.config_resetstat()
