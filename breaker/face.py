"""What Breaker and AsyncBreaker, their permits and their guards share: all that is not I/O.

`breaker.sync` and `breaker.aio` add only the calls that block or are awaited; a test holds the two
equal. This is every job's way, so what is read often is a slot and not a property of a property.
"""

import logging
import time
import uuid
from collections.abc import Callable, Generator, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, ClassVar, Generic, Self, TypeVar, Unpack

from breaker import forking, identity, running
from breaker.alerts import check as check_alerts
from breaker.alerts import tell
from breaker.classify import Kind, RateLimit, RuleOptions, refusal
from breaker.config import Given, configured
from breaker.errors import ConfigurationError
from breaker.jitter import draw
from breaker.model import Grant, LocalState, Status
from breaker.protocol import wire
from breaker.protocol.asking import Asker
from breaker.protocol.plans import Plans
from breaker.protocol.requests import Request
from breaker.push import Watch
from breaker.running import Place
from breaker.store.carry_out import Store
from breaker.store.fallback import Fallback, Policy
from breaker.store.outage import outage_of
from breaker.store.target import this_worker
from breaker.tally import Worker

# The options of one worker's own, which are not declared to the fleet.
_RULES = frozenset(RuleOptions.__annotations__)

_LOGGER = logging.getLogger("breaker")

S = TypeVar("S", bound=Store)
B = TypeVar("B", bound="Face[Any]")
T = TypeVar("T")
Plan = Generator[Request, Any, T]


class Face(Generic[S]):
    """The guard over one queue, shared by every worker that names it."""

    _driver: ClassVar[type[Store]]

    def __init__(
        self,
        name: str,
        *,
        url: str | None = None,
        redis: Any = None,
        prefix: str | None = None,
        worker: str | None = None,
        push: bool = True,
        declare: bool = True,
        on_store_failure: Policy = "local",
        **options: Unpack[Given],
    ) -> None:
        """Make a breaker. It asks the store nothing yet.

        Args:
            name: the queue, 1 to 200 characters.
            url: where Redis or Valkey is (default: the environment's BREAKER_URL, else localhost).
            redis: a redis-py client to take the connection data from, instead of `url`.
            prefix: what all keys begin with (default: the environment's BREAKER_PREFIX, else
                "breaker").
            worker: this worker's name in the evidence and for `min_workers`. Default: host:pid of the
                process that made the breaker, so forked children count as one worker.
            push: hear of changes by push and answer from memory while that is fresh (at most 2 s
                old); False asks the store each time.
            declare: make the options the whole fleet's; False for a guest beside the workers, such as
                a dashboard: only a state that is new takes its options.
            on_store_failure: what to use while the store is down: "local", an in-memory breaker with
                the same settings; "open", paused; "closed", running; "raise".
            **options: see `breaker.settings.Options`; they become the whole fleet's. What counts
                in this process say `classify`, `count`, `ignore` and `on_overload`: see
                `breaker.classify.Rules`.

        Raises:
            ConfigurationError: naming everything that is wrong.
        """
        try:
            config = configured(
                name,
                url=url,
                redis=redis,
                prefix=prefix,
                worker=worker,
                on_store_failure=on_store_failure,
                options=options,
            )
        except ConfigurationError as error:
            problems = error.problems
            del error, url, redis  # tools that show local variables would show the password
            raise ConfigurationError(problems) from None
        if declare and (wrong := check_alerts()):
            del url, redis  # as above
            raise ConfigurationError(wrong)
        self.name = name
        self.rules = config.rules
        self.identity: Hashable = (config.keys, config.target)
        self._config = config
        self._push = push
        self._was_entered = False
        self._options: dict[str, Any] = dict(options)
        self._asker = Asker(
            config.keys,
            config.channel,
            config.worker or this_worker(),
            config.settings,
            clock=time.monotonic,
        )
        self._asker.declares = declare
        self._watch = (
            Watch(
                config.target, config.channel, config.keys, self._asker.read, self._asker.probe
            )
            if push
            else None
        )
        who = self._driver.who
        self._plans = Plans(self._asker, self._watch, random=draw, who=who)
        fallback = Fallback(
            config.on_store_failure, self._plans.last_known, config.keys["probe"]
        )
        self._store: S = self._driver(  # type: ignore[assignment] # a face names its own driver
            config.target,
            tell,
            outage_of,
            fallback,
            self._plans.hand_in,
            key=config.keys["state"],
        )
        is_away = self._store.is_away
        self._worker = Worker(name, config.on_store_failure, is_away, self._watch)
        forking.renewed(self)

    def after_fork(self) -> None:
        """In a forked child: another worker, with another name."""
        self._asker.worker = self._config.worker or this_worker()

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel to another process by name, options and where the store is."""
        config = self._config
        given = {option: getattr(config.settings, option) for option in config.settings.given}
        given |= {name: self._options[name] for name in _RULES if name in self._options}
        given |= {
            "redis": config.target,
            "prefix": config.keys.prefix,
            "worker": config.worker,
            "push": self._push,
            "declare": self._asker.declares,
            "on_store_failure": config.on_store_failure,
        }
        return _remade, (type(self), self.name, given)

    def _enter(self) -> Self:
        """Enter `with Breaker(...) as breaker`, which closes it at its end.

        Raises:
            ConfigurationError: it was used before, so that a guard was meant.
        """
        if self._was_entered or self._asker.last_reply or self._store.is_stopped:
            problem = (
                f"`with` on breaker {self.name!r}, which is in use, would close it at its end and "
                "guards nothing: use `with breaker.guard():`"
            )
            raise ConfigurationError([problem])
        self._was_entered = True
        return self

    @property
    def staleness(self) -> float | None:
        """Seconds since the pushed state was last proven; None: the store is asked each time.

        Between 0 and 2; pushed state older than 2 s is not used. Also None during a store outage.
        """
        return self._worker.staleness

    def subscribe(self, callback: Callable[[Status], None]) -> Callable[[], None]:
        """Call back with the present state, then with every change; returns what ends that.

        Each callback is called from a background thread of its own, in order: a slow one delays
        no other. If it is 1000 changes behind, the oldest are dropped. Needs `push`.
        """
        if self._watch is None:
            raise ConfigurationError(["subscribe needs push=True"])
        return self._watch.subscribe(callback, self._asker.status_of)

    def local_state(self) -> LocalState:
        """What this process knows without asking: closed, paused, paced or unknown.

        Right at the moment that the store publishes a change, if there is push; see `on_change`.
        """
        return self._plans.line.local_state()

    def on_change(self, call: Callable[[], None]) -> Callable[[], None]:
        """Call when `local_state()` may have changed; returns what ends that.

        Called from the background thread, and from threads whose own reply brought the news: only
        set an event or wake a loop there. The end of a pause calls too, once it is known.
        Needs `push`.
        """
        if self._watch is None:
            raise ConfigurationError(["on_change needs push=True"])
        return self._watch.notify(call)

    def _imported(self, text: str) -> Grant:
        try:
            return wire.imported(text)
        except (AttributeError, ValueError):
            problem = f"not a permit: {text!r}; it must be what permit.export() gave"
            raise ConfigurationError([problem]) from None

    def _known_grant(self, timeout: float | None) -> Grant | None:
        """Leave that needs no asking. A timeout has to be checked by the plan, which looks itself."""
        watch = self._watch
        return watch.grant() if watch is not None and timeout is None else None

    def _leave_to_run(self, timeout: float | None, outer: Place | None) -> Plan[Grant]:
        """How to get leave that has to be asked for; a job in another one has that one's."""
        plans = self._plans
        return plans.acquire(timeout) if outer is None else plans.nested(outer.grant, timeout)

    def _leave_to_try(self) -> tuple[Grant, Place] | None:
        """Leave for one attempt of the job that runs here, and the place of its permit."""
        outer = running.find(self.identity)
        if outer is None:
            return None
        known = self._watch.grant() if self._watch else None
        return known or outer.grant, outer

    def _leave(self) -> None:
        """Stop what belongs to this breaker; a second time does nothing."""
        self._store.stop()
        self._worker.leave()
        if self._watch is not None:
            self._watch.close()


def goes_back(error: BaseException, limited: RateLimit | None, status: Status | None) -> bool:
    """Whether a job that failed belongs back into its queue, to run once more.

    Args:
        error: what the job raised.
        limited: what the classifier made of it.
        status: what the store answered to the report; None: there was no answer.
    """
    if limited is None:
        return refusal(error) is not None
    return status is None or status.can_trip


def _remade(face: type[B], name: str, given: dict[str, Any]) -> B:
    return face(name, **given)


class FacePermit(Generic[B]):
    """Permission to run one job. Report one result; later reports are ignored."""

    __slots__ = ("_breaker", "_grant", "_is_open", "_own_id", "_place", "_status")

    def __init__(self, breaker: B, grant: Grant, outer: Place | None = None) -> None:
        self._breaker = breaker
        self._grant = grant
        self._is_open = True
        self._own_id = ""
        self._place = Place(self, outer, is_inner=True) if outer else None

    @property
    def id(self) -> str:
        """The error id that `rate_limited()` uses if it is given none."""
        if self._grant.id and not self._is_inner:
            return self._grant.id
        if not self._own_id:
            self._own_id = uuid.uuid4().hex
        return self._own_id

    @property
    def epoch(self) -> int:
        """The epoch in which the permit was given; it grows with every trip, pause and cut.

        A result of an older epoch changes nothing.
        """
        return self._grant.epoch

    @property
    def is_probe(self) -> bool:
        """Whether this job tests the upstream during recovery: its result must be reported."""
        return self._grant.is_probe

    @property
    def is_paced(self) -> bool:
        """Whether it is one slot of the fleet's schedule.

        A permit that is neither this nor a probe says that the queue may be read freely.
        """
        return self._grant.is_paced

    @property
    def status(self) -> Status | None:
        """What the store answered to the rate limit error that was reported; None: none was."""
        return getattr(self, "_status", None)

    def export(self) -> str:
        """The permit as a short text, for `breaker.permit(text)` in another process.

        Printable ASCII: safe in JSON, in a message's header and in the environment. Its result is
        to be reported in one of the two processes only.
        """
        return wire.export(replace(self._grant, id=self.id))

    @contextmanager
    def running(self) -> Iterator[None]:
        """Tell that the job runs in this block, as `guard` does by itself.

        HTTP hooks then take their attempts for this job's.
        """
        with running.as_running(self) as self._place:
            yield

    @property
    def _is_inner(self) -> bool:
        """Whether the leave is that of a permit around it."""
        return self._place is not None and self._place.is_inner

    @property
    def _reported(self) -> int:
        """What was reported from within the job already."""
        return self._place.reported if self._place else running.NOTHING

    def _tell_outer(self, reported: int) -> None:
        if self._place:
            self._place.tell_outer(reported)

    def _success(self) -> Plan[None] | None:
        """What there is to do about a success, the first time."""
        if not self._close():
            return None
        plans = self._breaker._plans  # noqa: SLF001 - one class in two
        is_news = plans.has_to_be_told(self._grant, is_job=not self._is_inner)
        if self._reported or not is_news:
            return None
        self._tell_outer(running.SUCCESS)
        return plans.success(self._grant)

    def _rate_limited(
        self, retry_after: Any, error_id: str | None, kind: Kind
    ) -> Plan[Status] | None:
        if not self._close() or self._reported == running.LIMITED:
            return None
        self._tell_outer(running.LIMITED)
        plans = self._breaker._plans  # noqa: SLF001 - one class in two
        return plans.rate_limit_error(retry_after, error_id or self.id, self._grant, kind)

    def _release(self) -> Plan[None] | None:
        is_held = self._close() and self._grant.is_probe
        if not is_held or self._reported or self._is_inner:
            return None
        return self._breaker._plans.release(self._grant)  # noqa: SLF001 - one class in two

    def _unused(self) -> Plan[None] | None:
        is_held = self._close() and (self._grant.is_probe or self._grant.is_paced)
        is_held = is_held and not self._is_inner
        return self._breaker._plans.unused(self._grant) if is_held else None  # noqa: SLF001 - one class in two

    def _result(
        self, limited: RateLimit | None, error: BaseException | None, error_id: str | None
    ) -> Plan[Any] | None:
        """What there is to report about a job."""
        if error is None:
            return self._success()
        if limited:
            breaker = self._breaker._asker.keys["failures"]  # noqa: SLF001 - one class in two
            error_id = error_id or identity.known_id(error, breaker) or self.id
            identity.remember(error, breaker, error_id)
            return self._rate_limited(limited.retry_after, error_id, limited.kind)
        return self._release()

    def _was_not_reported(self, failure: Exception) -> None:
        """Log it: the job has its own result by now, which an error of ours must not replace."""
        if self._breaker._store.is_news(failure):  # noqa: SLF001 - one class in two
            name = self._breaker.name
            _LOGGER.error("%s: a result could not be reported", name, exc_info=failure)

    def _close(self) -> bool:
        """Whether no result was reported so far; from here on one is."""
        was_open, self._is_open = self._is_open, False
        return was_open


class FaceGuard(FacePermit[B]):
    """A permit that is acquired on entering, and reported on leaving by what came of it.

    Guard and permit are one object, and the healthy path is inlined in it, because every job pays
    for it.
    """

    __slots__ = ("_error_id", "_is_entered", "_timeout")

    def __init__(self, breaker: B, timeout: float | None, error_id: str | None) -> None:
        self._breaker = breaker
        self._timeout = timeout
        self._error_id = error_id
        self._is_entered = self._is_open = False

    def _entered_twice(self) -> ConfigurationError:
        name = self._breaker.name
        return ConfigurationError(
            [
                f"a guard of breaker {name!r} was entered again while it guards: make one for each job"
            ]
        )
