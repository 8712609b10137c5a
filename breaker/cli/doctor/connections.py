"""How many connections the server has, and which of them are this library's."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import redis

from breaker.cli.doctor.case import Case
from breaker.cli.doctor.finding import Check, Level
from breaker.store.connect import CLIENT_NAME
from breaker.store.link import NAME

# Share of maxclients from which on the server nearly refuses connections.
FULL = 0.9


def connections(case: Case) -> Iterator[Check]:
    """Count the connections by the names that this library gives them."""
    try:
        clients = case.client.client_list()
    except redis.exceptions.NoPermissionError:
        advice = f"ACL SETUSER {case.user} +client|list"
        yield Check("connections", Level.OK, "may not be counted", advice)
        return
    names = Counter(one["name"] for one in clients)
    yield counted(len(clients), names[NAME], names[CLIENT_NAME], _limit(case))


def counted(count: int, listening: int, commands: int, limit: int) -> Check:
    """How many connections the server has, of how many, and which are this library's."""
    shown = f"{count} of {limit}" if limit else f"{count}"
    shown += f"; {listening} processes listen for changes, {commands} connections for commands"
    if limit and count > FULL * limit:
        advice = "raise maxclients: a worker without a connection uses its local breaker"
        return Check("connections", Level.WARN, shown, advice)
    return Check("connections", Level.OK, shown)


def _limit(case: Case) -> int:
    """The most connections that the server takes; 0 if it does not say."""
    try:
        info: dict[str, Any] = case.client.info("clients")
    except redis.exceptions.NoPermissionError:
        return 0
    return int(info.get("maxclients", 0))
