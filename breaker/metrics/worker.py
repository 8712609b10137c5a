"""Metrics of one process: what its breakers counted, whatever the store says."""

import math
import os
from collections.abc import Iterator
from functools import cache

from prometheus_client import Summary, registry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
    SummaryMetricFamily,
)

from breaker import tally
from breaker.store.outage import failures

# What tells prometheus-client to share metrics between processes.
_SHARED = ("PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir")
WAITS = "breaker_wait_seconds"
WAITS_HELP = (
    "Seconds spent in acquire() and wait() calls that could not be answered from memory, "
    "counted when the call returns."
)


class WorkerCollector(registry.Collector):
    """Metrics of this process's breakers, for its own prometheus-client registry.

    It reads numbers that are there anyway, asks no store, and costs a job nothing.

    Where prometheus-client shares metrics between processes (PROMETHEUS_MULTIPROC_DIR), waits are
    also written to its files, so that the scrape of any one process has those of all. Make it
    before the fork. The other metrics are of one process only and are not shared.
    """

    def __init__(self) -> None:
        if any(name in os.environ for name in _SHARED):
            _share()

    def collect(self) -> Iterator[Metric]:
        """Read the counters of this process; gauges only of breakers that are not closed."""
        yield CounterMetricFamily(
            "breaker_store_failures",
            "Commands that failed because a store was unreachable or temporarily refused writes.",
            failures(),
        )
        yield _waits()
        workers = tally.workers()
        yield _worst(
            "breaker_local_fallback",
            "1 while this worker uses its local breaker because the store is unreachable.",
            [(worker.name, float(worker.is_alone)) for worker in workers],
        )
        # Infinity compares as older than any age, which is what an alert should see.
        ages = [(w.name, w.staleness) for w in workers if w.is_pushed]
        yield _worst(
            "breaker_push_staleness_seconds",
            "Seconds since pushed state was last confirmed; +Inf if the worker asks the store every time.",
            [(name, math.inf if age is None else age) for name, age in ages],
        )


@cache
def _share() -> None:
    """Write each wait to the files that prometheus-client's processes share."""
    summary = Summary(WAITS, WAITS_HELP, ["breaker"], registry=None)

    def write(name: str, seconds: float) -> None:
        summary.labels(name).observe(seconds)

    tally.on_wait.append(write)


def _waits() -> Metric:
    family = SummaryMetricFamily(WAITS, WAITS_HELP, labels=["breaker"])
    for name, (count, seconds) in tally.waits().items():
        family.add_metric([name], count_value=count, sum_value=seconds)
    return family


def _worst(name: str, text: str, values: list[tuple[str, float]]) -> Metric:
    """A gauge by breaker; of several with one name, the largest value counts."""
    family = GaugeMetricFamily(name, text, labels=["breaker"])
    worst: dict[str, float] = {}
    for breaker, value in values:
        worst[breaker] = max(value, worst.get(breaker, 0.0))
    for breaker, value in worst.items():
        family.add_metric([breaker], value)
    return family
