"""A distributed circuit breaker for queues: a fleet pauses together and resumes by itself.

Each public name is imported from its module when it is first used, so that `import breaker`, and
a command that needs no store, do not wait for redis-py.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from breaker import aio
    from breaker.aio import AsyncBreaker, AsyncPermit
    from breaker.classify import RateLimit, rate_limit
    from breaker.defaults import configure
    from breaker.errors import (
        BreakerError,
        BreakerOpen,
        BreakerStopped,
        ConfigurationError,
        StoreError,
        StoreRefused,
        StoreUnavailable,
    )
    from breaker.model import Evidence, State, Status, Transition
    from breaker.queues import (
        get_queue_circuit_status,
        is_queue_paused,
        record_queue_rate_limit_error,
        record_queue_success,
    )
    from breaker.sync import Breaker, Permit

__all__ = [
    "AsyncBreaker",
    "AsyncPermit",
    "Breaker",
    "BreakerError",
    "BreakerOpen",
    "BreakerStopped",
    "ConfigurationError",
    "Evidence",
    "Permit",
    "RateLimit",
    "State",
    "Status",
    "StoreError",
    "StoreRefused",
    "StoreUnavailable",
    "Transition",
    "aio",
    "configure",
    "get_queue_circuit_status",
    "is_queue_paused",
    "rate_limit",
    "record_queue_rate_limit_error",
    "record_queue_success",
]

# Module -> the public names that it defines, as imported above.
_HOMES = {
    "breaker.aio": ("AsyncBreaker", "AsyncPermit"),
    "breaker.classify": ("RateLimit", "rate_limit"),
    "breaker.defaults": ("configure",),
    "breaker.errors": (
        "BreakerError",
        "BreakerOpen",
        "BreakerStopped",
        "ConfigurationError",
        "StoreError",
        "StoreRefused",
        "StoreUnavailable",
    ),
    "breaker.model": ("Evidence", "State", "Status", "Transition"),
    "breaker.queues": (
        "get_queue_circuit_status",
        "is_queue_paused",
        "record_queue_rate_limit_error",
        "record_queue_success",
    ),
    "breaker.sync": ("Breaker", "Permit"),
}


def __getattr__(name: str) -> Any:
    if name == "aio":
        return import_module("breaker.aio")
    for home, names in _HOMES.items():
        if name in names:
            found = globals()[name] = getattr(import_module(home), name)
            return found
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
