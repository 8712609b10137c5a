"""The demo's fleet with the real workers of a framework: one module for each.

A module has a class `Broker(url)`, which sends jobs, counts those that are in the broker, and runs a
worker. `job` says what all jobs do, and what they write down so that the demo can count them.
"""

import importlib
from typing import Any, Protocol, cast

import redis

NAMES = ("rq", "celery", "dramatiq", "huey")


class Broker(Protocol):
    """What a framework's module offers."""

    def __init__(self, url: str) -> None:
        """Take the address of a Redis server with an empty database."""

    def send(self, queue: str, job: str, url: str) -> None:
        """Enqueue a job."""

    def pending(self, connection: redis.Redis, queue: str) -> int:
        """How many jobs of a queue the broker has, while no worker runs."""

    def work(self, name: str, settings: dict[str, Any] | None) -> None:
        """Drain both queues until asked to stop; settings of None mean no breaker."""


def broker(framework: str, url: str) -> Broker:
    """Make the broker of a framework.

    Raises:
        ImportError: the framework is not installed; the message says how to install it.
    """
    return cast(
        "Broker", importlib.import_module(f"breaker.demo.frameworks.{framework}").Broker(url)
    )


def check(framework: str) -> None:
    """Check that a framework is installed.

    Raises:
        ImportError: it is not; the message says how to install it.
    """
    importlib.import_module(f"breaker.integrations.{framework}")
