"""For users' tests: breakers in memory, on a clock that is moved by hand. No Redis, no sleep.

    store = MemoryStore()
    content = MemoryBreaker("content", store=store, threshold=2)
    content.force("open", seconds=60)
    store.advance(60)

The rules are those of the scripts in `lua/`. Breakers of one name on one store are one fleet. As a
plugin of pytest it has the fixtures `memory_store`, `memory_breaker` and `async_memory_breaker`.
"""

from breaker.testing.memory import AsyncMemoryBreaker, ForcedState, MemoryBreaker, MemoryStore

__all__ = ["AsyncMemoryBreaker", "ForcedState", "MemoryBreaker", "MemoryStore"]
