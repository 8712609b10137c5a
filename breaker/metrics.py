"""The fleet's state for Prometheus, read from the store at the moment of the scrape.

    from prometheus_client import REGISTRY
    REGISTRY.register(Collector(url="redis://..."))

One process for each store does, and it need not be a worker: it shows all of the fleet. What a
worker alone can tell, such as how long it waited, is shown by each of them that wants to:

    REGISTRY.register(WorkerCollector())
"""

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from prometheus_client import registry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
    SummaryMetricFamily,
)

from breaker import tally
from breaker.errors import StoreError, StoreUnavailable
from breaker.fleet import Fleet
from breaker.model import State, Status
from breaker.protocol.keys import PREFIX
from breaker.store.outage import failures

# Seconds to read a whole fleet in. Prometheus gives a scrape up after ten, and would then not
# even learn that the store is the reason.
DEADLINE = 5.0

_LOGGER = logging.getLogger("breaker")


@dataclass(frozen=True, slots=True)
class _Family:
    """One metric: what it is called, what it means, where its value is; None leaves it out."""

    kind: type[GaugeMetricFamily | CounterMetricFamily]
    name: str
    help: str
    value: Callable[[Status], float | None]

    def empty(self) -> GaugeMetricFamily | CounterMetricFamily:
        return self.kind(self.name, self.help, labels=["breaker"])

    def filled(self, statuses: list[Status]) -> Metric:
        family = self.empty()
        for status in statuses:
            if (value := self.value(status)) is not None:
                family.add_metric([status.name], value)
        return family


def _pause_remaining(status: Status) -> float:
    """Seconds; infinity compares as longer than any pause, which is what an alert should see."""
    if not status.is_paused:
        return 0.0
    return math.inf if status.resumes_in is None else status.resumes_in


_FAMILIES = (
    _Family(
        GaugeMetricFamily,
        "breaker_paused",
        "Whether workers may not dequeue now (1) or may (0).",
        lambda status: status.is_paused,
    ),
    _Family(
        GaugeMetricFamily,
        "breaker_pause_remaining_seconds",
        "Seconds until the queue resumes by itself; 0 if it is not paused, "
        "+Inf if only an operator can resume it.",
        _pause_remaining,
    ),
    _Family(
        GaugeMetricFamily,
        "breaker_consecutive_rate_limit_errors",
        "Rate limit errors since the last success, over the whole fleet.",
        lambda status: status.consecutive_errors,
    ),
    _Family(
        GaugeMetricFamily,
        "breaker_threshold",
        "Rate limit errors in a row that pause the queue.",
        lambda status: status.threshold,
    ),
    _Family(
        GaugeMetricFamily,
        "breaker_pace_jobs_per_second",
        "Jobs per second that the whole fleet may do while it recovers at a pace; "
        "absent while it is not paced.",
        lambda status: status.pace,
    ),
    _Family(
        CounterMetricFamily,
        "breaker_trips",
        "How often the breaker has tripped; in shadow mode, would have.",
        lambda status: status.trips,
    ),
    _Family(
        CounterMetricFamily,
        "breaker_pace_cuts",
        "How often a rate limit error has slowed a paced recovery down.",
        lambda status: status.cuts,
    ),
    _Family(
        CounterMetricFamily,
        "breaker_rate_limit_errors",
        "Rate limit errors that were reported.",
        lambda status: status.rate_limit_errors,
    ),
    _Family(
        CounterMetricFamily,
        "breaker_paused_seconds",
        "Seconds that the queue has been paused, the present pause included.",
        lambda status: status.paused_seconds,
    ),
)


class Collector(registry.Collector):
    """All breakers of one store and prefix, for a prometheus-client registry.

    If the store cannot be read, `breaker_store_up` is 0 and there is no other series: an old
    value would be taken for a present one.

    Args:
        url: where Redis or Valkey is (default: the environment's BREAKER_URL, else localhost).
        redis: a redis-py client to take the connection data from, instead of `url`.
        prefix: what all keys begin with.

    Raises:
        ConfigurationError: naming everything that is wrong.
    """

    def __init__(
        self, url: str | None = None, *, redis: Any = None, prefix: str = PREFIX
    ) -> None:
        self.fleet = Fleet(url=url, redis=redis, prefix=prefix)
        self._was_up = True

    def describe(self) -> Iterator[Metric]:
        """Name the metrics, so that registering asks the store nothing."""
        yield _store_up()
        yield _unreadable()
        yield _states()
        for family in _FAMILIES:
            yield family.empty()

    def collect(self) -> Iterator[Metric]:
        """Read the fleet's state. Never raises a StoreError, for a scrape must succeed."""
        try:
            statuses = self._read()
        except StoreError as error:
            self._note(error)
            yield _store_up(0)
            return
        self._note(None)
        yield _store_up(1)
        yield _unreadable(self.fleet.unreadable)
        yield _states(statuses)
        for family in _FAMILIES:
            yield family.filled(statuses)

    def close(self) -> None:
        """Close the connections."""
        self.fleet.close()

    def _read(self) -> list[Status]:
        deadline = time.monotonic() + DEADLINE
        statuses = []
        for status in self.fleet.statuses():
            statuses.append(status)
            if time.monotonic() > deadline:
                raise StoreUnavailable(
                    f"the store at {self.fleet.target} is too slow: it told of {len(statuses)} "
                    f"breakers in {DEADLINE:g} s"
                )
        return statuses

    def _note(self, error: StoreError | None) -> None:
        """Say why, where the gauge cannot: once for each time the store goes or comes back."""
        is_up = error is None
        if is_up != self._was_up:
            if is_up:
                _LOGGER.info("metrics: the store answers again")
            else:
                _LOGGER.warning("metrics: breaker_store_up is 0: %s", error)
        self._was_up = is_up


class WorkerCollector(registry.Collector):
    """What the breakers of this process have met, for its own prometheus-client registry.

    It reads numbers that are there anyway, asks no store, and costs a job nothing.
    """

    def collect(self) -> Iterator[Metric]:
        """Tell of all breakers of this process that are not closed; counters outlive them."""
        yield CounterMetricFamily(
            "breaker_store_failures",
            "Commands that a store did not answer, or did not carry out for now.",
            failures(),
        )
        yield _waits()
        workers = tally.workers()
        yield _worst(
            "breaker_local_fallback",
            "1 while this worker goes by its own breaker, for the store does not answer.",
            [(worker.name, float(worker.is_alone)) for worker in workers],
        )
        # Infinity compares as older than any age, which is what an alert should see.
        ages = [(w.name, w.staleness) for w in workers if w.is_pushed]
        yield _worst(
            "breaker_push_staleness_seconds",
            "Seconds since what was pushed was proven; +Inf if the store is asked each time.",
            [(name, math.inf if age is None else age) for name, age in ages],
        )


def _waits() -> Metric:
    family = SummaryMetricFamily(
        "breaker_wait_seconds",
        "How long acquire() and wait() took, where memory had no answer; told when it is over.",
        labels=["breaker"],
    )
    for name, (count, seconds) in tally.waits().items():
        family.add_metric([name], count_value=count, sum_value=seconds)
    return family


def _worst(name: str, text: str, values: list[tuple[str, float]]) -> Metric:
    """A gauge by breaker; of several with one name, the worst off counts."""
    family = GaugeMetricFamily(name, text, labels=["breaker"])
    worst: dict[str, float] = {}
    for breaker, value in values:
        worst[breaker] = max(value, worst.get(breaker, 0.0))
    for breaker, value in worst.items():
        family.add_metric([breaker], value)
    return family


def _store_up(value: float | None = None) -> Metric:
    return GaugeMetricFamily(
        "breaker_store_up", "Whether the store could be read (1) or not (0).", value
    )


def _unreadable(names: Iterable[str] = ()) -> Metric:
    family = GaugeMetricFamily(
        "breaker_unreadable",
        "1 for a breaker that could not be read, because something else has taken its keys.",
        labels=["breaker"],
    )
    for name in names:
        family.add_metric([name], 1)
    return family


def _states(statuses: list[Status] | None = None) -> Metric:
    family = GaugeMetricFamily(
        "breaker_state",
        "1 for the state that the breaker is in, 0 for the others.",
        labels=["breaker", "state"],
    )
    for status in statuses or []:
        for state in State:
            family.add_metric([status.name, state.value], status.state is state)
    return family
