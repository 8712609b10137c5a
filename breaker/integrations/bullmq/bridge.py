"""A process beside BullMQ's workers that stops, paces and resumes their queues.

    breaker bridge bullmq content images=together:flux --broker redis://broker:6379

Of several bridges one leads for each queue; the others stand by. It keeps in the broker, beside the
queue, where it has read to and what it changed, so that the next one goes on from there.
"""

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import AsyncIterator, Coroutine, Iterable
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff
from redis.exceptions import AuthenticationError, LockError, RedisError

from breaker import AsyncBreaker, BreakerOpen, ConfigurationError, State, Status, StoreError
from breaker.integrations.gate import Gate, Queues, extra

with extra("bullmq", least="3.4"):
    from bullmq import Job, Queue

    from breaker.integrations.bullmq.history import History
    from breaker.integrations.bullmq.valve import Stop, Valve

DEFAULT_BROKER = "redis://localhost:6379/0"
# Seconds after which another bridge takes over, if the leading one says nothing.
LEASE = 3.0
# Seconds between two renewals, and between two tries of a bridge that stands by.
PULSE = 0.7
# Seconds between two looks at the pace of a recovering queue.
PACE_POLL = 0.25
# ... and at a queue that flows, or is paused, if no news comes.
POLL = 1.0
# Seconds that a read waits for events.
BLOCK = 1.0
# Seconds before the broker or the store is tried again.
RETRY_AFTER = 0.5
# Events that are read at once.
BATCH = 200
# Seconds of lag from which a bridge is not healthy.
MOST_LAG = 10.0

_LOGGER = logging.getLogger("breaker")


class Bridge:
    """Guards BullMQ queues whose workers know nothing of it.

    Args:
        queues: names of queues, or a mapping from queue to breaker; else the environment's
            BREAKER_QUEUES.
        broker: the URL of BullMQ's Redis.
        bull_prefix: BullMQ's prefix.
        stop: "pause" pauses the queue as `queue.pause()` does; "limiter" uses the queue's rate
            limiter, whose TTL ends the pause even if no bridge is alive.
        retry_failed: when the queue resumes, retry the jobs that rate limits failed for good since
            the run of errors began; each gets one more attempt.
        **options: Breaker's own.

    Raises:
        ConfigurationError: naming everything that is wrong.
    """

    def __init__(
        self,
        queues: Queues = None,
        *,
        broker: str = DEFAULT_BROKER,
        bull_prefix: str = "bull",
        stop: Stop = "pause",
        retry_failed: bool = False,
        **options: Any,
    ) -> None:
        names = Gate(queues, line="Bridge(queues=['{}'])", **options).names
        if not names:
            raise ConfigurationError(["Bridge needs the names of its queues, not a callable"])
        if stop not in {"pause", "limiter"}:
            raise ConfigurationError([f"stop must be 'pause' or 'limiter', not {stop!r}"])
        self._client = _client(broker)
        self._sides = [
            Side(
                Queue(queue, {"connection": self._client, "prefix": bull_prefix}),
                AsyncBreaker(name, **options),
                stop=stop,
                retry_failed=retry_failed,
            )
            for queue, name in names.items()
        ]

    async def run(self) -> None:
        """Guard the queues until cancelled.

        Raises:
            ConfigurationError: the broker refuses the password.
        """
        async with self._open():
            await _together([side.run() for side in self._sides])

    async def once(self) -> bool:
        """Complete what another bridge left, for each queue that no bridge leads now.

        Returns:
            Whether it could.
        """
        async with self._open():
            return all([await side.once() for side in self._sides])

    async def problems(self) -> list[str]:
        """What is wrong with the bridges that run, for a supervisor; empty if nothing is."""
        async with self._open():
            try:
                found = [await side.problem() for side in self._sides]
            except RedisError as error:
                return [f"the broker does not answer: {error}"]
        return [problem for problem in found if problem]

    @property
    def lags(self) -> dict[str, float]:
        """Seconds by which each queue's events were read late; only of queues led from here."""
        return {side.name: side.lag for side in self._sides if side.leads}

    @contextlib.asynccontextmanager
    async def _open(self) -> AsyncIterator[None]:
        try:
            with contextlib.suppress(RedisError):
                await _check(self._client)
            yield
        finally:
            for side in self._sides:
                await side.breaker.close()
            await self._client.aclose()


class Side:
    """One queue and its breaker.

    Attributes:
        leads: whether this bridge leads for the queue.
        lag: seconds by which the last event was read late.
    """

    def __init__(
        self, queue: Queue, breaker: AsyncBreaker, *, stop: Stop, retry_failed: bool
    ) -> None:
        self.name: str = queue.name
        self.breaker = breaker
        self.leads = False
        self.lag = 0.0
        self._queue = queue
        self._client: Any = queue.client
        self._valve = Valve(queue, stop)
        self._retry_failed = retry_failed
        self._turn = asyncio.Lock()
        self._news = asyncio.Event()
        self._clock_offset = 0.0
        self._is_down = False

    # -- one bridge at a time

    async def run(self) -> None:
        """Lead for the queue when no other bridge does."""
        loop = asyncio.get_running_loop()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(self._news.set)

        self.breaker.on_change(wake)
        while True:
            try:
                async with self._lead() as lock:
                    if lock:
                        await self._begin()
                        await _together([self._renew(lock), self._read(), self._steer()])
                wait = PULSE
            except (RedisError, OSError, StoreError) as error:
                self._tell_down(error)
                wait = RETRY_AFTER
            await asyncio.sleep(wait)

    async def once(self) -> bool:
        """Bring the queue to its breaker's state, unless another bridge leads."""
        async with self._lead() as lock:
            if not lock:
                _LOGGER.info("%s: another bridge leads", self.name)
                return True
            await self._obey(await self.breaker.status())
            return True

    async def problem(self) -> str | None:
        """What is wrong with the queue's bridge."""
        text = await self._client.get(self._key("health"))
        if text is None:
            return f"{self.name}: no bridge leads"
        lag = json.loads(text)["lag"]
        return f"{self.name}: events are read {lag:.1f} s late" if lag > MOST_LAG else None

    @contextlib.asynccontextmanager
    async def _lead(self) -> AsyncIterator[Any]:
        lock = self._client.lock(self._key("lease"), timeout=LEASE)
        if not await lock.acquire(blocking=False):
            yield None
            return
        try:
            yield lock
        finally:
            self.leads = False
            with contextlib.suppress(RedisError):
                await lock.release()

    async def _begin(self) -> None:
        await self._measure_clock()
        await self.breaker.is_paused()  # from the first question on, changes are pushed
        self.leads, self._is_down = True, False
        _LOGGER.info("%s: this bridge leads", self.name)

    async def _renew(self, lock: Any) -> None:
        while True:
            try:
                await lock.reacquire()
            except LockError:
                _LOGGER.info("%s: another bridge leads now", self.name)
                return
            health = json.dumps({"lag": round(self.lag, 3)})
            await self._client.set(self._key("health"), health, px=round(2000 * LEASE))
            await self._measure_clock()
            await asyncio.sleep(PULSE)

    def _tell_down(self, error: Exception) -> None:
        if not self._is_down:
            _LOGGER.error("%s: the bridge cannot work, and tries again: %s", self.name, error)
        self._is_down = True

    # -- what happened

    async def _read(self) -> None:
        """Tell the breaker what happens, from where the last bridge stopped."""
        history = History(self._queue, self.breaker, self._keep_failed)
        events, cursor = self._queue.keys["events"], self._key("cursor")
        last = await self._client.get(cursor) or await self._end_of(events)
        try:
            while True:
                page = await self._next(events, last)
                following = [fields for _, fields in page[1:]] + [{}]
                for (number, event), after in zip(page, following, strict=False):
                    self.lag = self._age(number)
                    if History.is_stop(event):
                        self._news.set()
                    status = await history.tell(event, after, self.lag)
                    if status is not None and status.is_paused:
                        await self._obey(status)
                if page:
                    last = page[-1][0]
                    await self._client.set(cursor, last)
                else:
                    self.lag = 0.0
        finally:
            history.close()

    async def _next(self, events: str, last: str) -> list[tuple[str, dict[str, str]]]:
        answer = await self._client.xread(
            {events: last}, count=BATCH, block=round(1000 * BLOCK)
        )
        if not answer:
            return []
        pages = answer.values() if isinstance(answer, dict) else [page for _, page in answer]
        found = next(iter(pages))
        return found[0] if found and isinstance(found[0], list) else found

    async def _end_of(self, events: str) -> str:
        newest = await self._client.xrevrange(events, count=1)
        return newest[0][0] if newest else "0-0"

    async def _measure_clock(self) -> None:
        seconds, microseconds = await self._client.time()
        self._clock_offset = seconds + microseconds / 1e6 - time.monotonic()

    def _age(self, number: str) -> float:
        at = int(number.partition("-")[0]) / 1000
        return max(0.0, time.monotonic() + self._clock_offset - at)

    # -- what follows

    async def _steer(self) -> None:
        """Keep the queue as the breaker says, from wherever the breaker was told."""
        epoch = -1
        while True:
            self._news.clear()
            status = await self.breaker.status()
            if status.state == State.HALF_OPEN and status.epoch != epoch:
                status = await self._begin_recovery()
                epoch = status.epoch
            await self._obey(status)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_pause_until_next(status)):
                    await self._news.wait()

    async def _begin_recovery(self) -> Status:
        """Ask for a slot, and give it back: what the fleet delivered before is where the pace begins."""
        with contextlib.suppress(BreakerOpen):
            await (await self.breaker.acquire(timeout=0)).unused()
        return await self.breaker.status()

    async def _obey(self, status: Status) -> None:
        async with self._turn:
            await self._valve.obey(status)
            if self._retry_failed and status.state == State.HALF_OPEN:
                await self._retry()

    # -- jobs that failed for good

    async def _keep_failed(self, job: str) -> None:
        if self._retry_failed:
            await self._client.sadd(self._key("failed"), job)

    async def _retry(self) -> None:
        key = self._key("failed")
        jobs = await self._client.smembers(key)
        for name in jobs:
            job = await Job.fromId(self._queue, name)
            if job is not None and await job.isFailed():
                await job.retry("failed")
            await self._client.srem(key, name)
        if jobs:
            _LOGGER.warning("%s: retried %d jobs that rate limits failed", self.name, len(jobs))

    def _key(self, name: str) -> str:
        return f"{self._queue.qualifiedName}:breaker:{name}"


async def _together(parts: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run the parts until one of them ends, then end the others."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        # Under Python 3.11 redis-py loses a cancellation if a reply comes at the same moment.
        while pending := [task for task in tasks if not task.done()]:
            for task in pending:
                task.cancel()
            await asyncio.wait(pending, timeout=BLOCK)
    for task in done:
        task.result()


def _pause_until_next(status: Status) -> float:
    if status.state == State.HALF_OPEN:
        return PACE_POLL
    left = POLL if status.resumes_in is None else status.resumes_in
    return max(0.001, min(left, POLL))


def _client(broker: str) -> Any:
    try:
        return Redis.from_url(
            broker,
            decode_responses=True,
            socket_timeout=5 * BLOCK,
            socket_connect_timeout=BLOCK,
            retry=Retry(ConstantBackoff(0.05), 1),
        )
    except ValueError as error:
        raise ConfigurationError([f"not the URL of a broker: {error}"]) from None


async def _check(client: Any) -> None:
    try:
        await client.ping()
    except AuthenticationError as error:
        raise ConfigurationError([f"the broker refuses the bridge: {error}"]) from None
