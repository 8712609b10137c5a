import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from breaker import Breaker
from breaker.metrics import Collector


@pytest.fixture
def prefix() -> str:
    """A fleet that no other test adds to."""
    return f"fleet-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def make(url: str, prefix: str) -> Iterator[Callable[..., Breaker]]:
    """Make breakers of this fleet: `make("content", threshold=1)`."""
    with ExitStack() as stack:
        yield lambda name, **options: stack.enter_context(
            Breaker(name, url=url, prefix=prefix, **options)
        )


@pytest.fixture
def collector(url: str, prefix: str) -> Iterator[Collector]:
    collector = Collector(url=url, prefix=prefix)
    yield collector
    collector.close()
