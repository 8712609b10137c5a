"""One breaker per queue name for the module-level functions, made from one configuration."""

import threading
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar, Unpack

from breaker.alerts import chosen
from breaker.config import Given, configured
from breaker.errors import ConfigurationError
from breaker.store.fallback import Policy

B = TypeVar("B")

_given: dict[str, Any] = {}
_generation = 0


def configure(
    *,
    url: str | None = None,
    redis: Any = None,
    prefix: str | None = None,
    worker: str | None = None,
    push: bool = True,
    on_store_failure: Policy = "local",
    alerts: Sequence[Any] | None = None,
    **options: Unpack[Given],
) -> None:
    """Say what the module-level functions, here and in `breaker.aio`, make their breakers from.

    `alerts` names the channels of this process, by their names or as objects of one's own: see
    `breaker.alerts.channel.Channel`. What is not given comes from the environment (`BREAKER_URL`, `BREAKER_THRESHOLD`, ...).

    Raises:
        ConfigurationError: naming everything that is wrong.
    """
    global _given, _generation  # noqa: PLW0603 - one configuration per process is the point
    given: dict[str, Any] = {
        "url": url,
        "redis": redis,
        "prefix": prefix,
        "worker": worker,
        "on_store_failure": on_store_failure,
    }
    try:
        configured("any", **given, options=options)
        chosen.choose(alerts)
    except ConfigurationError as error:
        problems = error.problems
        del error, given, url, redis  # tools that show local variables would show the password
        raise ConfigurationError(problems) from None
    _given = {**given, "push": push, **options}
    _generation += 1


class Defaults(Generic[B]):
    """The breakers by name, made when first asked for, and anew after configure()."""

    def __init__(self, make: Callable[..., B]) -> None:
        self._make = make
        self._made: dict[tuple[int, str], B] = {}
        self._lock = threading.Lock()

    def __getitem__(self, queue_name: str) -> B:
        key = (_generation, queue_name)
        if key not in self._made:
            with self._lock:
                if key not in self._made:
                    self._made[key] = self._make(queue_name, **_given)
        return self._made[key]
