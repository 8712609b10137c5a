"""Brings one BullMQ queue to what its breaker says: stopped, paced or free.

What the bridge changed stands in a mark beside the queue, written in the same transaction as the
change. So the next bridge can complete or undo what a bridge left that died at any moment, and a
pause without a mark is a person's.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bullmq import Queue
from redis.exceptions import WatchError

from breaker import State, Status

Stop = Literal["pause", "limiter"]

# The bridge's own keys, beside the queue's. An id of a job cannot contain a colon.
MARK = "breaker:mark"
# Jobs per second until the pace is known.
FIRST_PACE = 1.0
# Seconds that a window of the queue's rate limit lasts at least: a fast pace starts a few jobs in
# each, because the timers of workers are no more exact than a millisecond or two.
SHORTEST_WINDOW = 0.02
# What BullMQ's own rateLimit() writes.
FULL = 9007199254740991
# Seconds for which the limiter is set if the pause has no end; the bridge sets it anew in time.
HOUR = 3600.0
# Milliseconds by which the limiter's end may miss the pause's end.
SLACK = 500
PAGE = 500

_LOGGER = logging.getLogger("breaker")


@dataclass(frozen=True)
class Found:
    """How a queue was found: what the bridge did to it, and how it is."""

    mark: Mapping[str, str]
    is_paused: bool
    rate: str

    @property
    def stopped(self) -> str:
        """How the bridge stopped it: pause, limiter, resuming, or not at all."""
        return self.mark.get("stopped", "")


class Valve:
    """Stops a queue, paces it and sets it free.

    Args:
        queue: BullMQ's own.
        stop: how to stop it.
    """

    def __init__(self, queue: Queue, stop: Stop) -> None:
        self._queue = queue
        self._stop = stop
        self._client: Any = queue.client
        self._mark = f"{queue.qualifiedName}:{MARK}"
        self._is_free = False

    async def obey(self, status: Status) -> None:
        """Do what the breaker's state asks for. Doing it twice changes nothing."""
        if status.is_paused:
            self._is_free = False
            await self._change(lambda found, pipe: self._stopping(found, pipe, status))
        elif status.state == State.HALF_OPEN:
            self._is_free = False
            pace = status.pace or FIRST_PACE
            await self._change(lambda found, pipe: self._pacing(found, pipe, pace))
            await self._resume(f"resumed at {pace:.3g} jobs/s")
        elif not self._is_free:
            await self._resume("resumed")
            await self._change(self._freeing)
            self._is_free = True

    # -- stop

    async def _stopping(self, found: Found, pipe: Any, status: Status) -> str:
        epoch = str(status.epoch)
        if found.mark.get("ceded") == epoch:
            return ""
        if found.stopped == "limiter" or (self._stop == "limiter" and not found.stopped):
            return await self._limiting(found, pipe, status)
        if found.stopped == "pause":
            return self._still_stopped(found, pipe, epoch)
        if found.is_paused:
            return ""  # a person's pause, which is not ours to end
        last = await pipe.xrevrange(self._queue.keys["events"], count=1)
        pipe.multi()
        after = last[0][0] if last else "0-0"
        pipe.hset(self._mark, mapping={"stopped": "pause", "epoch": epoch, "after": after})
        await self._script(pipe, is_pause=True)
        return f"paused (epoch {epoch}, {_length(status.resumes_in)})"

    def _still_stopped(self, found: Found, pipe: Any, epoch: str) -> str:
        pipe.multi()
        if found.is_paused:
            if found.mark.get("epoch") != epoch:
                pipe.hset(self._mark, "epoch", epoch)
            return ""
        pipe.hdel(self._mark, "stopped", "after")
        pipe.hset(self._mark, "ceded", epoch)
        return f"was resumed by a person; it is left so until the next trip (epoch {epoch})"

    async def _limiting(self, found: Found, pipe: Any, status: Status) -> str:
        seconds = status.resumes_in
        wanted = max(1, round(1000 * (HOUR if seconds is None else seconds)))
        left = await pipe.pttl(self._queue.keys["limiter"])
        pipe.multi()
        is_set = found.stopped and abs(wanted - left) <= (SLACK if seconds else wanted / 2)
        if is_set:
            return ""
        self._set_rate(found, pipe, _rate(FIRST_PACE, found.mark.get("before", found.rate)))
        pipe.hset(self._mark, mapping={"stopped": "limiter", "epoch": str(status.epoch)})
        pipe.set(self._queue.keys["limiter"], FULL, px=wanted)
        return f"stopped by its limiter (epoch {status.epoch}, {_length(seconds)})"

    # -- pace

    async def _pacing(self, found: Found, pipe: Any, pace: float) -> str:
        rate = _rate(pace, found.mark.get("before", found.rate))
        pipe.multi()
        if rate != found.rate:
            self._set_rate(found, pipe, rate)
        return ""

    def _set_rate(self, found: Found, pipe: Any, rate: str) -> None:
        """Set the queue's rate limit; what the user had stays in the mark."""
        if found.rate != found.mark.get("rate", ""):
            pipe.hset(self._mark, "before", found.rate)
        elif "before" not in found.mark:
            pipe.hset(self._mark, "before", "")
        pipe.hset(self._mark, "rate", rate)
        most, duration = rate.split(":")
        pipe.hset(self._queue.keys["meta"], mapping={"max": most, "duration": duration})

    # -- resume

    async def _resume(self, what: str) -> None:
        """End the bridge's own stop."""
        found = await self._change(lambda found, pipe: self._resuming(found, pipe, what))
        if found.stopped not in {"pause", "resuming"}:
            return
        # What a BullMQ 5 added during the pause is moved back, some thousand jobs at a time.
        while await self._change(self._moving_back) and await self._has_left_behind():
            pass

    async def _resuming(self, found: Found, pipe: Any, what: str) -> str:
        epoch = found.mark.get("epoch", "?")
        if found.stopped == "limiter":
            pipe.multi()
            pipe.hdel(self._mark, "stopped")
            pipe.delete(self._queue.keys["limiter"])
            return f"{what} (epoch {epoch})"
        if found.stopped != "pause":
            pipe.multi()
            return ""
        is_ours = found.is_paused and not await self._was_paused_again(found, pipe)
        pipe.multi()
        if not is_ours:
            pipe.hdel(self._mark, "stopped", "after")
            person = "paused it too: it stays paused" if found.is_paused else "resumed it"
            return f"the pause is over (epoch {epoch}), but a person {person}"
        pipe.hset(self._mark, "stopped", "resuming")
        await self._script(pipe, is_pause=False)
        return f"{what} (epoch {epoch})"

    async def _was_paused_again(self, found: Found, pipe: Any) -> bool:
        """Whether the queue's history has a pause after the bridge's own, which is its first."""
        after, pauses = found.mark["after"], 0
        while page := await pipe.xrange(self._queue.keys["events"], f"({after}", count=PAGE):
            pauses += sum(fields.get("event") == "paused" for _, fields in page)
            after = page[-1][0]
        return pauses > 1

    async def _moving_back(self, found: Found, pipe: Any) -> str:
        left = await pipe.llen(self._queue.keys["paused"])
        pipe.multi()
        if found.stopped == "resuming" and left and not found.is_paused:
            await self._script(pipe, is_pause=False)
        else:
            pipe.hdel(self._mark, "stopped", "after")
        return ""

    async def _has_left_behind(self) -> bool:
        return bool(await self._client.hget(self._mark, "stopped") == "resuming")

    async def _freeing(self, found: Found, pipe: Any) -> str:
        """Take the bridge's rate limit away, and its mark."""
        pipe.multi()
        if not found.mark:
            return ""
        pipe.delete(self._mark)
        if "rate" not in found.mark:
            return ""
        if found.rate != found.mark["rate"]:
            return "free; its global rate limit was changed meanwhile and is left as it is"
        meta = self._queue.keys["meta"]
        if before := found.mark.get("before"):
            most, duration = before.split(":")
            pipe.hset(meta, mapping={"max": most, "duration": duration})
        else:
            pipe.hdel(meta, "max", "duration")
        return "free, at full speed"

    # -- transactions

    async def _change(self, decide: Callable[[Found, Any], Awaitable[str]]) -> Found:
        """Look, decide and write in one transaction, and log what was done."""
        while True:
            async with self._client.pipeline(transaction=True) as pipe:
                try:
                    found = await self._look(pipe)
                    said = await decide(found, pipe)
                    if len(pipe):
                        await pipe.execute()
                except WatchError:
                    continue
            if said:
                _LOGGER.warning("%s: %s", self._queue.name, said)
            return found

    async def _look(self, pipe: Any) -> Found:
        meta = self._queue.keys["meta"]
        await pipe.watch(self._mark, meta)
        mark = await pipe.hgetall(self._mark)
        paused, most, duration = await pipe.hmget(meta, "paused", "max", "duration")
        return Found(mark, paused is not None, f"{most}:{duration}" if most else "")

    async def _script(self, pipe: Any, *, is_pause: bool) -> None:
        """What `queue.pause()` and `queue.resume()` send, inside a transaction."""
        lists = ["wait", "paused"] if is_pause else ["paused", "wait"]
        rest = ["meta", "prioritized", "events", "delayed", "marker"]
        keys = [self._queue.keys[name] for name in (*lists, *rest)]
        script = self._queue.redisConnection.commands["pause"]
        await script(keys, ["paused" if is_pause else "resumed"], client=pipe)


def _length(seconds: float | None) -> str:
    return "until an operator resumes it" if seconds is None else f"for {seconds:.3g} s"


def _rate(pace: float, users: str) -> str:
    """The rate limit for a pace, as `max:duration` in milliseconds, or the user's if lower."""
    jobs = max(1, round(pace * SHORTEST_WINDOW))
    duration = round(1000 * jobs / pace)
    if users:
        most, length = map(float, users.split(":"))
        if most / length < jobs / duration:
            return users
    return f"{jobs}:{duration}"
