"""What a scrape says, read with the parser of prometheus-client."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

Series = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


def scrape(collector: Collector) -> str:
    """The text that Prometheus would get."""
    registry = CollectorRegistry()
    registry.register(collector)
    return generate_latest(registry).decode()


def series(text: str) -> Series:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(text: str, metric: str, **labels: str) -> float:
    return series(text)[metric, frozenset(labels.items())]
