"""The plugin of pytest: fixtures that make breakers in memory."""

from collections.abc import Callable
from typing import Any

import pytest

from breaker.testing.memory import AsyncMemoryBreaker, MemoryBreaker, MemoryStore


@pytest.fixture
def memory_store() -> MemoryStore:
    """The clock and the states of this test's breakers."""
    return MemoryStore()


@pytest.fixture
def memory_breaker(memory_store: MemoryStore) -> Callable[..., MemoryBreaker]:
    """Make a Breaker in memory: `memory_breaker("content", threshold=2)`."""

    def make(name: str = "test", **options: Any) -> MemoryBreaker:
        return MemoryBreaker(name, store=memory_store, **options)

    return make


@pytest.fixture
def async_memory_breaker(memory_store: MemoryStore) -> Callable[..., AsyncMemoryBreaker]:
    """Make an AsyncBreaker in memory: `async_memory_breaker("content", threshold=2)`."""

    def make(name: str = "test", **options: Any) -> AsyncMemoryBreaker:
        return AsyncMemoryBreaker(name, store=memory_store, **options)

    return make
