"""What the server says of itself: version, mode, role, replicas, persistence."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from breaker.cli.doctor.case import Case
from breaker.cli.doctor.finding import Check, Level

# The oldest Redis that has all commands.
OLDEST = (6, 2)

Info = Mapping[str, Any]


def server(case: Case) -> Iterator[Check]:
    """Check what INFO says."""
    if case.info is None:
        missed = "version, role and memory could not be checked"
        yield Check("info", Level.WARN, missed, f"ACL SETUSER {case.user} +info")
        return
    yield version(case.info)
    yield mode(case.info, is_cluster=case.target.is_cluster)
    for check in (role, replicas, persistence):
        yield check(case.info)


def version(info: Info) -> Check:
    """Kind and version of the server."""
    kind = "Valkey" if "valkey_version" in info else "Redis"
    shown = f"{kind} {info.get('valkey_version') or info.get('redis_version')}"
    found = tuple(int(part) for part in re.findall(r"\d+", str(info.get("redis_version")))[:2])
    if found >= OLDEST:
        return Check("server", Level.OK, shown)
    return Check("server", Level.FAIL, shown, "Redis 6.2 or newer, or Valkey, is needed")


def mode(info: Info, *, is_cluster: bool) -> Check:
    """Whether the server is what the URL says it is."""
    found = str(info.get("server_mode") or info.get("redis_mode", "standalone"))
    if found == ("cluster" if is_cluster else "standalone"):
        return Check("mode", Level.OK, "in a cluster" if is_cluster else "a single server")
    advice = {
        "cluster": "its URL is redis+cluster://host:port",
        "sentinel": "it only watches the primary: the URL is redis+sentinel://host:port/PRIMARY/database",
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
