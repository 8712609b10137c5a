"""Metrics for Prometheus, as collectors for a prometheus-client registry.

The whole fleet's, read from the store; one process for each store is enough:

    from prometheus_client import REGISTRY
    REGISTRY.register(Collector(url="redis://..."))

A worker's own, such as how long it waited, in each worker that wants to export them:

    REGISTRY.register(WorkerCollector())
"""

from breaker.metrics.fleet import Collector
from breaker.metrics.worker import WorkerCollector

__all__ = ["Collector", "WorkerCollector"]
