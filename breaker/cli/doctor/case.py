"""The store that is examined, as all checks see it."""

from functools import cached_property
from typing import Any

import redis

from breaker.cli.doctor.permissions import remedy, user_of
from breaker.fleet import Fleet
from breaker.store.run_sync import SyncStore


class Case:
    """One store and prefix.

    Args:
        fleet: the breakers.
        client: redis-py's client of one server, or of the whole store, with the credentials of
            the URL.
        store: runs scripts as workers do.
    """

    def __init__(self, fleet: Fleet, client: Any, store: SyncStore) -> None:
        self.fleet = fleet
        self.target = fleet.target
        self.prefix = fleet.prefix
        self.client = client
        self.store = store

    @property
    def user(self) -> str:
        """The user of the store whose rights are checked."""
        return user_of(self.target) or "default"

    @cached_property
    def info(self) -> dict[str, Any] | None:
        """What the server says of itself; None if this user may not ask."""
        try:
            said: dict[str, Any] = self.client.info()
        except redis.exceptions.NoPermissionError:
            return None
        return said

    def remedy(self, error: str) -> str:
        """The ACL rule that grants what the error says is missing."""
        return remedy(error, self.user, self.prefix)
