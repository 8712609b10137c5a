"""Every key name there is. `{...}` is the hash tag: a breaker's keys share one cluster slot."""

import os
from dataclasses import dataclass

# What all keys begin with, unless told otherwise.
PREFIX = "breaker"


def find_prefix(given: str | None) -> str:
    """What all keys begin with: what was given, else BREAKER_PREFIX, else "breaker"."""
    return given if given is not None else os.environ.get("BREAKER_PREFIX") or PREFIX


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one breaker."""

    prefix: str
    name: str

    def __getitem__(self, key: str) -> str:
        """The full name of the key that a script's header calls `key`."""
        return f"{self.prefix}:{{{self.name}}}:{key}"

    def seen(self, report_id: str) -> str:
        """Where the reply to a report is kept for its repeats."""
        return self[f"seen:{report_id}"]

    def channel(self, database: int) -> str:
        """Where changes are published; pub/sub ignores databases, so the number is in the name."""
        return self[f"changes:{database}"]

    @property
    def registry(self) -> str:
        """The set of the names there are."""
        return registry(self.prefix)


def registry(prefix: str) -> str:
    """The set of the names there are under a prefix."""
    return f"{prefix}s"
