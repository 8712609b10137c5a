"""What `breaker doctor` concludes from the server's INFO."""

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from breaker.cli.durations import exact
from breaker.model import Status
from breaker.settings import OPTIONS

# The oldest Redis that has all commands.
OLDEST = (6, 2)
# Seconds: a slower answer leaves little of the time-out of 250 ms.
SLOW = 0.05
# Seconds: a larger difference between two clocks is more than imprecision.
SKEWED = 2.0
# Share of maxmemory from which on the store is nearly full.
FULL = 0.9

Info = Mapping[str, Any]


class Level(StrEnum):
    """How good or bad a finding is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """One finding.

    Attributes:
        name: what was checked.
        level: how good or bad it is.
        message: what was found.
        advice: what to do about it; empty if nothing.
    """

    name: str
    level: Level
    message: str
    advice: str = ""


def latency(seconds: float) -> Check:
    """How fast the store answers."""
    shown = f"answers in {seconds * 1000:.1f} ms"
    if seconds <= SLOW:
        return Check("connection", Level.OK, shown)
    advice = "workers give up after 250 ms; put the store nearer to them"
    return Check("connection", Level.WARN, shown, advice)


def server(info: Info) -> Check:
    """Kind and version of the server."""
    kind = "Valkey" if "valkey_version" in info else "Redis"
    shown = f"{kind} {info.get('valkey_version') or info.get('redis_version')}"
    version = tuple(
        int(part) for part in re.findall(r"\d+", str(info.get("redis_version")))[:2]
    )
    if version >= OLDEST:
        return Check("server", Level.OK, shown)
    return Check("server", Level.FAIL, shown, "Redis 6.2 or newer, or Valkey, is needed")


def mode(info: Info) -> Check:
    """Whether the server is a single one."""
    found = str(info.get("redis_mode", "standalone"))
    if found == "standalone":
        return Check("mode", Level.OK, "a single server")
    advice = {
        "cluster": "not supported yet: use a server with cluster mode off",
        "sentinel": "this process only watches the store: use the URL of the primary",
    }
    return Check("mode", Level.FAIL, f"in {found} mode", advice.get(found, "not supported"))


def role(info: Info) -> Check:
    """Whether the server takes writes."""
    if info.get("role") == "slave":
        primary = f"{info.get('master_host')}:{info.get('master_port')}"
        return Check("role", Level.FAIL, "a replica", f"use the URL of its primary, {primary}")
    return Check("role", Level.OK, "primary")


def replicas(info: Info) -> Check:
    """What a failover may lose."""
    count = int(info.get("connected_slaves", 0))
    if not count:
        return Check("replicas", Level.OK, "none")
    shown = f"{count}; a failover may lose the last moments"
    if "min_slaves_good_slaves" in info:
        return Check("replicas", Level.OK, shown)
    return Check("replicas", Level.OK, shown, "min-replicas-to-write 1 makes that rarer")


def persistence(info: Info) -> Check:
    """What a crash may lose."""
    if info.get("rdb_last_bgsave_status", "ok") != "ok":
        advice = "see the server's log: it may refuse writes (MISCONF) until one succeeds"
        return Check("persistence", Level.WARN, "the last snapshot failed", advice)
    if int(info.get("aof_enabled", 0)):
        return Check("persistence", Level.OK, "append-only file")
    shown = "no append-only file: after a crash, breakers may start again, closed"
    return Check("persistence", Level.OK, shown, "appendonly yes keeps pauses and counts")


def memory(info: Info) -> Iterator[Check]:
    """Whether the store drops keys, and how much room there is."""
    policy = info.get("maxmemory_policy", "unknown")
    if policy == "noeviction":
        yield Check("eviction", Level.OK, policy)
    else:
        shown = f"maxmemory-policy is {policy}: a full store drops pauses and counts"
        advice = "set it to noeviction, or give the breakers a store of their own"
        yield Check("eviction", Level.WARN, shown, advice)
    used, limit = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    shown = f"{_megabytes(used)} used of {_megabytes(limit)}" if limit else "no limit"
    if limit and used > FULL * limit:
        advice = "a full store cannot record a trip: free memory or raise maxmemory"
        yield Check("memory", Level.WARN, shown, advice)
    else:
        yield Check("memory", Level.OK, shown)


def connections(count: int, listening: int, commands: int, limit: int) -> Check:
    """How many connections the server has, of how many, and which are this library's."""
    shown = f"{count} of {limit}" if limit else f"{count}"
    shown += f"; {listening} processes listen for changes, {commands} connections for commands"
    if limit and count > FULL * limit:
        advice = "raise maxclients: a worker without a connection uses its local breaker"
        return Check("connections", Level.WARN, shown, advice)
    return Check("connections", Level.OK, shown)


def options(status: Status) -> Iterator[Check]:
    """What an operator overrides, and what another release declares otherwise."""
    if status.overrides:
        undo = " ".join(f"{name}=" for name in status.overrides)
        yield Check(
            "options",
            Level.OK,
            f"{status.name}: an operator has set {_assigned(status.overrides)}",
            f"to undo: breaker set {shlex.quote(status.name)} {undo}",
        )
    if status.conflict:
        in_force = {name: getattr(status, name) for name in status.conflict}
        yield Check(
            "options",
            Level.WARN,
            f"{status.name}: {status.conflict_by or 'a worker'} declares "
            f"{_assigned(status.conflict)}, but {_assigned(in_force)} is in force",
            "two releases run side by side: deploy one of them everywhere",
        )
    if status.push_lost:
        yield Check(
            "push",
            Level.WARN,
            f"{status.name}: the last change could not be published: {status.push_lost}",
            "workers ask the store for each job until one can",
        )


def _assigned(values: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name}={exact(value) if OPTIONS[name].is_duration else value}"
        for name, value in values.items()
    )


def _megabytes(size: int) -> str:
    return f"{size / 1_048_576:.1f} MB"


def clock(ahead: float) -> Check:
    """How far the store's clock is from this machine's."""
    if abs(ahead) <= SKEWED:
        return Check("clock", Level.OK, f"{abs(ahead) * 1000:.0f} ms from this machine's")
    shown = f"the store's clock is {exact(abs(round(ahead)))} {'ahead of' if ahead > 0 else 'behind'} this machine's"
    advice = "breakers use the store's clock alone, but times shown are off: set both by NTP"
    return Check("clock", Level.WARN, shown, advice)
