"""Whether the list of breakers can be read and written."""

from collections.abc import Iterator
from uuid import uuid4

from breaker.cli.doctor.case import Case
from breaker.cli.doctor.finding import Check, Level
from breaker.protocol.keys import registry


def names(case: Case) -> Iterator[Check]:
    """Write the list of breakers without changing it."""
    listed = registry(case.prefix)
    known = case.client.smembers(listed)
    if known:  # workers read this list: adding a name that it has changes nothing
        case.client.sadd(listed, next(iter(known)))
    else:
        scratch = f"doctor-{uuid4().hex[:12]}"
        case.client.srem(listed, scratch)
        case.client.sadd(listed, scratch)
        case.client.srem(listed, scratch)
    said = f"the key {listed!r} (list of breakers) can be read and written"
    yield Check("names", Level.OK, said)
