"""Whether workers can subscribe to changes."""

from collections.abc import Callable, Iterator
from contextlib import closing

import redis

from breaker.cli.doctor.case import Case
from breaker.cli.doctor.finding import Check, Level, lacking
from breaker.protocol.keys import Keys
from breaker.store.connect import TIMEOUT


def push(case: Case) -> Iterator[Check]:
    """Subscribe to a channel, as a worker does."""
    keys = Keys(case.prefix, "doctor")
    refused: list[str] = []
    with closing(case.client.pubsub()) as listener:

        def hear(change: Callable[[str], object]) -> None:
            change(keys.channel(case.target.database))
            listener.get_message(timeout=TIMEOUT)  # raises what the store refuses

        for attempt in (
            case.client.ping,
            lambda: case.client.hmget(keys["state"], "news"),
            lambda: hear(listener.subscribe),
            lambda: hear(listener.unsubscribe),
        ):
            try:
                attempt()
            except redis.exceptions.NoPermissionError as error:
                refused.append(str(error).rstrip("."))
    rule = case.remedy(" ".join(refused))
    for refusal in dict.fromkeys(refused):
        yield lacking("push", refusal, rule, "push")
    if not refused:
        yield Check("push", Level.OK, "can subscribe to changes")
