"""How a call ends: versions, news, and the reply (`commit.lua`)."""

from breaker.machine.row import Reply, Row
from breaker.machine.view import PUSH_EVERY

# Milliseconds for which the reply to a report is kept for its repeats.
REPLY_KEPT = 60_000


def clear_count(b: Row) -> None:
    """Forget the errors in a row."""
    b.count = b.count_until = 0


def commit(b: Row) -> None:
    """Number the change, and note whether it is pushed."""
    if not b.incarnation:
        return
    is_unpushed = b.is_counted and b.pushed_run != b.run and not b.is_ahead(b.pushed_until)
    if b.steps or is_unpushed:
        b.put(pushed_run=b.run, pushed_until=b.now + PUSH_EVERY)
        b.is_news = True
    if b.is_news or b.is_new:
        b.put(news=b.news + 1)
    if b.is_dirty:
        b.version += 1
    if b.is_dirty or b.is_paused:
        b.clock = b.now
    for step in b.steps:
        step["version"] = b.version
    b.history += b.steps


def answer(b: Row, said: Reply) -> Reply:
    """The reply: what the verb says, and the transitions that this very call made."""
    made = {"transitions": [dict(step) for step in b.steps]} if b.steps else {}
    return said | made | ({"incarnation": b.incarnation} if b.incarnation else {})


def remember(b: Row, report_id: str, said: Reply) -> Reply:
    """Keep the reply for its repeats, or only what had changed if there was no transition."""
    reply = answer(b, said)
    flags = {flag: bool(said.get(flag)) for flag in ("changed", "counted")}
    b.seen[report_id] = (b.now + REPLY_KEPT, b.call.token, reply if b.steps else flags)
    while len(b.seen) > 1 and b.seen[next(iter(b.seen))][0] <= b.now:
        del b.seen[next(iter(b.seen))]
    return reply
