"""A worker that says how much each step of using the guard has made it grow, in KiB."""

import importlib
import json
import resource
import sys
from contextlib import ExitStack
from pathlib import Path

import redis

STATM = Path("/proc/self/statm")
MORE = 100


def resident() -> float:
    """KiB in memory now; where the system does not say, the most there ever were."""
    if STATM.exists():
        return int(STATM.read_text().split()[1]) * resource.getpagesize() / 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 1024 if sys.platform == "darwin" else most


def main(url: str) -> None:
    """Grow step by step. The start is a worker that has used redis-py already."""
    with redis.Redis.from_url(url) as client, ExitStack() as stack:
        client.ping()
        bare = resident()
        breaker = importlib.import_module("breaker")
        imported = resident()
        store = importlib.import_module("benchmarks.store")
        store.quiet(stack.enter_context(breaker.Breaker("resident", url=url)))
        guarded = resident()
        for number in range(MORE):
            more = stack.enter_context(breaker.Breaker(f"resident-{number}", url=url))
            more.acquire().success()
        grown = {
            "a worker: importing breaker": imported - bare,
            "a worker: a breaker in use, its thread and connections": guarded - imported,
            "a worker: each further breaker": (resident() - guarded) / MORE,
        }
    sys.stdout.write(json.dumps(grown))


if __name__ == "__main__":
    main(sys.argv[1])
