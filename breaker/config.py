"""Everything a breaker is made from, checked at the door, all problems in one error."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from breaker.classify import RuleOptions, Rules
from breaker.errors import ConfigurationError
from breaker.protocol.keys import Keys, find_prefix
from breaker.settings import Options, Settings, name_problems
from breaker.store.fallback import POLICIES
from breaker.store.target import Target, find_target


class Given(Options, RuleOptions, total=False):
    """The keywords that Breaker, AsyncBreaker and configure() take beside the store's."""


@dataclass(frozen=True, slots=True)
class Config:
    """What a breaker is made from."""

    keys: Keys
    worker: str | None
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
    prefix: str | None,
    worker: str | None,
    on_store_failure: str = "local",
    options: Mapping[str, Any],
) -> Config:
    """Check and merge what was given, the environment and the defaults.

    Raises:
        ConfigurationError: with every problem there is.
    """
    prefix = find_prefix(prefix)
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
        worker,
        settings,
        target,
        on_store_failure,
        rules,
    )
