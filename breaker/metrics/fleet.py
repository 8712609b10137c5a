"""Metrics of the whole fleet, read from the store at the moment of the scrape."""

import logging
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from prometheus_client import registry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
)

from breaker.errors import StoreError
from breaker.fleet import Fleet
from breaker.model import Status
from breaker.transitions import STATES

# Seconds to read a whole fleet in. Prometheus gives up a scrape after ten by default, and would
# then not even learn that the store is the reason.
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
        "1 while workers must not dequeue, 0 while they may.",
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
        "Number of rate limit errors in a row that pauses the queue.",
        lambda status: status.threshold,
    ),
    _Family(
        GaugeMetricFamily,
        "breaker_pace_jobs_per_second",
        "Jobs per second that the whole fleet may start while it recovers at a pace; "
        "absent while it is not paced.",
        lambda status: status.pace,
    ),
    _Family(
        CounterMetricFamily,
        "breaker_trips",
        "Trips of the breaker; in shadow mode, trips that would have paused the queue.",
        lambda status: status.trips,
    ),
    _Family(
        CounterMetricFamily,
        "breaker_pace_cuts",
        "Rate limit errors that slowed a paced recovery down.",
        lambda status: status.cuts,
    ),
    _Family(
        CounterMetricFamily,
        "breaker_rate_limit_errors",
        "Rate limit errors that workers reported.",
        lambda status: status.rate_limit_errors,
    ),
    _Family(
        CounterMetricFamily,
        "breaker_paused_seconds",
        "Total seconds that the queue has been paused, including the current pause.",
        lambda status: status.paused_seconds,
    ),
)


class Collector(registry.Collector):
    """All breakers of one store and prefix, for a prometheus-client registry.

    If the store cannot be read, `breaker_store_up` is 0 and there is no other series: an old
    value would be taken for a present one. If it is slow, breakers that could not be read in time
    are shown by `breaker_unreadable`.

    Args:
        url: where Redis or Valkey is (default: the environment's BREAKER_URL, else localhost).
        redis: a redis-py client to take the connection data from, instead of `url`.
        prefix: what all keys begin with (default: BREAKER_PREFIX, else "breaker").

    Raises:
        ConfigurationError: naming everything that is wrong.
    """

    def __init__(
        self, url: str | None = None, *, redis: Any = None, prefix: str | None = None
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
            statuses = [*self.fleet.statuses(DEADLINE)]
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

    def _note(self, error: StoreError | None) -> None:
        """Say why, where the gauge cannot: once for each time the store goes or comes back."""
        is_up = error is None
        if is_up != self._was_up:
            if is_up:
                _LOGGER.info("metrics: the store answers again")
            else:
                _LOGGER.warning("metrics: breaker_store_up is 0: %s", error)
        self._was_up = is_up


def _store_up(value: float | None = None) -> Metric:
    return GaugeMetricFamily(
        "breaker_store_up", "1 if the store could be read, 0 if not.", value
    )


def _unreadable(names: Iterable[str] = ()) -> Metric:
    family = GaugeMetricFamily(
        "breaker_unreadable",
        "1 for a breaker that could not be read: other data is stored under its keys, "
        "or the store was too slow.",
        labels=["breaker"],
    )
    for name in names:
        family.add_metric([name], 1)
    return family


def _states(statuses: list[Status] | None = None) -> Metric:
    family = GaugeMetricFamily(
        "breaker_state",
        "1 for the state that the breaker is in, 0 for each other state. "
        + "; ".join(f"{state}: {info.meaning}" for state, info in STATES.items())
        + ".",
        labels=["breaker", "state"],
    )
    for status in statuses or []:
        for state in STATES:
            family.add_metric([status.name, state.value], status.state is state)
    return family
