"""A distributed circuit breaker for queues: a fleet pauses together and resumes by itself."""

from breaker.aio import AsyncBreaker, AsyncPermit
from breaker.classify import RateLimit, rate_limit
from breaker.defaults import configure
from breaker.errors import (
    BreakerError,
    BreakerOpen,
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
    "configure",
    "get_queue_circuit_status",
    "is_queue_paused",
    "rate_limit",
    "record_queue_rate_limit_error",
    "record_queue_success",
]
