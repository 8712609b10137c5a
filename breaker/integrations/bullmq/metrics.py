"""Metrics of a bridge, for prometheus-client."""

from collections.abc import Iterator

from prometheus_client import registry
from prometheus_client.core import GaugeMetricFamily, Metric

from breaker.integrations.bullmq.bridge import Bridge


class Lags(registry.Collector):
    """How late a bridge reads the events of the queues that it leads for.

    Args:
        bridge: the bridge.
    """

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge

    def collect(self) -> Iterator[Metric]:
        """Read the numbers that are there anyway."""
        family = GaugeMetricFamily(
            "breaker_bridge_lag_seconds",
            "Seconds by which the bridge read the last event of a queue that it leads for late.",
            labels=["queue"],
        )
        for queue, lag in self._bridge.lags.items():
            family.add_metric([queue], lag)
        yield family
