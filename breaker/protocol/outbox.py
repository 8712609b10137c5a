"""How a channel's alerts are taken from a breaker's history, kept, and acknowledged."""

import json
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from breaker.model import Transition
from breaker.protocol import wire
from breaker.protocol.keys import Keys
from breaker.protocol.requests import Ask, Request, Send
from breaker.protocol.scripts import script

# Milliseconds for which an entry belongs to its taker, who renews that while it is being sent.
LEASE = 4_000
# Milliseconds of the history with which a new channel begins.
SINCE = 900_000
# Entries that are taken at once.
BATCH = 10
# Entries of the history that are looked at for a series of trips.
SERIES = 200


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry that was taken.

    Attributes:
        id: its id in the history.
        deliveries: how often it was taken, this time included.
        transition: what it says; None if no script wrote it.
    """

    id: str
    deliveries: int
    transition: Transition | None


@dataclass(frozen=True, slots=True)
class Taken:
    """The entries that were taken, and in how many seconds there may be more; None: on news."""

    entries: tuple[Entry, ...]
    again: float | None


def take(keys: Keys, group: str) -> Generator[Request, Any, Taken]:
    """Take what the channel has not been told yet."""
    answer = yield Ask(
        script("claim"), (keys["events"], _hold(keys, group)), (group, LEASE, SINCE, BATCH)
    )
    reply = wire.decode(answer)
    entries = tuple(
        Entry(
            one["id"], int(one["deliveries"]), wire.entry(keys.name, one["fields"], one["id"])
        )
        for one in reply["entries"] or ()
    )
    again = None if reply["again_ms"] < 0 else reply["again_ms"] / 1000
    return Taken(entries, again)


def renew(keys: Keys, group: str, ids: tuple[str, ...]) -> Generator[Request, Any, None]:
    """Keep entries for another lease."""
    yield Ask(script("renew"), (keys["events"],), (group, json.dumps(ids)))


def acknowledge(keys: Keys, group: str, entry: Entry) -> Generator[Request, Any, None]:
    """The other end has it: no other worker sends it again."""
    yield Send(("XACK", keys["events"], group, entry.id))


def hold(keys: Keys, group: str, seconds: float) -> Generator[Request, Any, None]:
    """Have all workers leave the channel alone for this time."""
    ms = max(1, round(seconds * 1000))
    yield Send(("SET", _hold(keys, group), "1", "PX", ms))


def history_before(keys: Keys, entry: Entry) -> Generator[Request, Any, list[Transition]]:
    """The history before an entry, the latest first."""
    found = yield Send(("XREVRANGE", keys["events"], f"({entry.id}", "-", "COUNT", SERIES))
    return wire.events(keys.name, found)[::-1]


def note_loss(keys: Keys, loss: Transition) -> Generator[Request, Any, None]:
    """Write into the history that the state was lost; once, whatever the number of finders."""
    seen = keys.seen(f"lost-{loss.incarnation}-{loss.version}")
    found = (keys["state"], keys["events"], seen)
    yield Ask(script("note_loss"), found, (loss.reason, loss.by))


def waiting(keys: Keys) -> Generator[Request, Any, dict[str, int]]:
    """How many entries are under way on each channel of one breaker."""
    if not (yield Send(("EXISTS", keys["events"]))):
        return {}
    groups = yield Send(("XINFO", "GROUPS", keys["events"]))
    found = {}
    for group in groups:
        fields = (
            group
            if isinstance(group, dict)
            else dict(zip(group[::2], group[1::2], strict=True))
        )
        named = {wire.text(name): value for name, value in fields.items()}
        found[wire.text(named["name"])] = int(named["pending"])
    return found


def _hold(keys: Keys, group: str) -> str:
    return keys[f"hold:{group}"]
