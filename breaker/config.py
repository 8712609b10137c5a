"""Everything a breaker is made from, checked at the door, all problems in one error."""

import os
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from breaker.classify import RuleOptions, Rules
from breaker.errors import ConfigurationError
from breaker.protocol.keys import Keys
from breaker.settings import Options, Settings, name_problems
from breaker.store.fallback import POLICIES
from breaker.store.target import DEFAULT_URL, Target


class Given(Options, RuleOptions, total=False):
    """The keywords that Breaker, AsyncBreaker and configure() take beside the store's."""


@dataclass(frozen=True, slots=True)
class Config:
    """What a breaker is made from."""

    keys: Keys
    worker: str
    settings: Settings
    target: Target
    on_store_failure: str
    rules: Rules

    @property
    def channel(self) -> str:
        """Where the breaker's changes are published."""
        return self.keys.channel(self.target.database)


def configured(
    name: object,
    *,
    url: str | None,
    redis: Any,
    prefix: str,
    worker: str | None,
    on_store_failure: str = "local",
    options: Mapping[str, Any],
) -> Config:
    """Check and merge what was given, the environment and the defaults.

    Raises:
        ConfigurationError: with every problem there is.
    """
    problems = [*name_problems("name", name), *name_problems("prefix", prefix)]
    if worker is not None:
        problems += name_problems("worker", worker)
    if on_store_failure not in POLICIES:
        allowed = ", ".join(repr(policy) for policy in POLICIES)
        problems.append(f"on_store_failure must be one of {allowed}, not {on_store_failure!r}")
    target = settings = rules = None
    rule_names = RuleOptions.__annotations__
    try:
        target = find_target(url, redis)
    except ConfigurationError as error:
        problems += error.problems
    try:
        fleet = {name: value for name, value in options.items() if name not in rule_names}
        settings = Settings.resolve(fleet, os.environ)
    except ConfigurationError as error:
        problems += error.problems
    try:
        rules = Rules(**{name: options[name] for name in rule_names if name in options})
    except ConfigurationError as error:
        problems += error.problems
    if problems or target is None or settings is None or rules is None:
        raise ConfigurationError(problems)
    return Config(
        Keys(prefix, str(name)),
        worker or this_worker(),
        settings,
        target,
        on_store_failure,
        rules,
    )


def find_target(url: str | None, redis: Any) -> Target:
    """Where the store is: the URL or client given, else BREAKER_URL, else the local server."""
    problems = list(_both_given(url, redis))
    if problems:
        raise ConfigurationError(problems)
    if redis is not None:
        return Target.of_client(redis)
    if url is not None:
        return Target.of_url(url)
    try:
        return Target.of_url(os.environ.get("BREAKER_URL") or DEFAULT_URL)
    except ConfigurationError as error:
        raise ConfigurationError(
            [f"BREAKER_URL: {problem}" for problem in error.problems]
        ) from None


def _both_given(url: str | None, redis: Any) -> Iterator[str]:
    if url is not None and redis is not None:
        yield "give url or redis, not both"


def this_worker() -> str:
    """The default name of a worker: host and process id."""
    return f"{socket.gethostname()}:{os.getpid()}"
