"""Module-level functions by queue name. `breaker.aio` has the async versions."""

from breaker.defaults import Defaults
from breaker.model import Status
from breaker.sync import Breaker

_defaults = Defaults(Breaker)


def record_queue_rate_limit_error(
    queue_name: str, retry_after: float | None = None, error_id: str | None = None
) -> Status:
    """Count a rate limit error of a queue; at the threshold in a row the queue is paused."""
    return _defaults[queue_name].record_rate_limit_error(retry_after, error_id)


def record_queue_success(queue_name: str) -> None:
    """A job of the queue went through: its count starts again."""
    _defaults[queue_name].record_success()


def get_queue_circuit_status(queue_name: str) -> Status:
    """The state of a queue's breaker."""
    return _defaults[queue_name].status()


def is_queue_paused(queue_name: str) -> bool:
    """Whether the queue may not be read now: the check before dequeue."""
    return _defaults[queue_name].is_paused()
