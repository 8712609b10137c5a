"""Whether the stored states can be read by this release."""

from collections import defaultdict
from collections.abc import Iterator

import redis

from breaker.cli.doctor.case import Case
from breaker.cli.doctor.finding import Check, Level
from breaker.protocol.keys import Keys, registry
from breaker.protocol.wire import text

SCHEMA = "1"
# At most this many breakers are read.
LOOKED_AT = 1000
# At most this many names are listed in one line.
SHOWN = 5
ADVICE = {
    "the state is gone": "flushed, evicted or failed over; the next job makes a new one",
    "the state is not a hash": "something else has used this key: delete it",
    "the state was written by another release": "upgrade: pip install -U fleet-breaker",
}


def breakers(case: Case) -> Iterator[Check]:
    """Look at each state, and count those that are odd."""
    known = sorted(map(text, case.client.smembers(registry(case.prefix))))
    odd: dict[str, list[str]] = defaultdict(list)
    for name in known[:LOOKED_AT]:
        odd[_oddity(case, name)].append(name)
    for oddity in filter(None, odd):
        names = odd[oddity]
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        shown = f"{', '.join(names[:SHOWN])}{more}: {oddity}"
        yield Check("breakers", Level.WARN, shown, ADVICE[oddity])
    yield Check("breakers", Level.OK, f"{len(known)} known")


def _oddity(case: Case, name: str) -> str:
    try:
        state = case.client.hgetall(Keys(case.prefix, name)["state"])
    except redis.exceptions.ResponseError:
        return "the state is not a hash"
    if not state:
        return "the state is gone"
    schema = text(state.get(b"schema", b"?"))
    return "" if schema == SCHEMA else "the state was written by another release"
