"""What all integrations share: which queues are guarded, and what the end of a job means.

A breaker is made when its queue is first used. Breakers survive a fork, so one gate serves a
process and the children that it forks.
"""

import contextlib
import difflib
import importlib.metadata
import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from breaker import (
    Breaker,
    BreakerOpen,
    ConfigurationError,
    Permit,
    RateLimit,
    Status,
    StoreError,
    StoreRefused,
    StoreUnavailable,
)
from breaker.classify import refusal
from breaker.face import goes_back

ENVIRONMENT = "BREAKER_QUEUES"
STORE = "BREAKER_URL"
# Seconds after which a queue that was empty, or is paused, is looked at again at the latest.
POLL = 1.0
# Seconds that a job waits before it runs again, if it was rate limited, the queue is not paused
# and the upstream gave no time.
SHORT_DELAY = 1.0
# Seconds that a job waits at most in that case, whatever the upstream said.
LONGEST_DELAY = 60.0

_LOGGER = logging.getLogger("breaker")

Queues = Iterable[str] | Mapping[str, str] | Callable[[str], str | None] | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What follows from the end of a job.

    Attributes:
        limited: what the upstream said, if the job was rate limited.
        is_put_back: whether the job goes back to its queue, without using up an attempt.
        delay: seconds that it should wait there before it runs again.
    """

    limited: RateLimit | None = None
    is_put_back: bool = False
    delay: float = 0.0


class Guarded:
    """Which queues are guarded, and what the end of a job means: all that is not I/O.

    Args:
        queues: the names of the guarded queues, or a mapping from a queue's name to its breaker's
            name, or a callable that does the same (None: not guarded). If left out, the
            environment's BREAKER_QUEUES, as in `content,images=together:flux`.
        line: the line that a user writes to name a queue; errors show it.
        requeue: whether a rate limited job goes back to its queue; if not, the framework treats
            its exception like any other.
        **options: Breaker's own.

    Raises:
        ConfigurationError: naming everything that is wrong, and the line to write.
    """

    def __init__(
        self, queues: Queues = None, *, line: str, requeue: bool = True, **options: Any
    ) -> None:
        self._line = line
        self._name_of, self.names = _mapped(queues, line)
        self.requeues = requeue
        self._options = options
        self._is_store_checked = False
        _check_breakers(set(self.names.values()) or {"any"}, options)

    def check_names(self, reads: Iterable[str], others: Callable[[], Iterable[str]]) -> None:
        """Check at a worker's start that the guarded queues exist and the store takes this worker.

        Args:
            reads: the queues that this worker reads.
            others: the other queues that the broker or the application knows; called only if a
                guarded queue is not among those that the worker reads.

        Raises:
            ConfigurationError: there is no such queue, or the store refuses this worker.
        """
        here = set(reads)
        if unknown := self.names.keys() - here:
            unknown -= set(others())
        if unknown:
            raise ConfigurationError([self._unknown(name, here) for name in sorted(unknown)])
        guarded = sorted(queue for queue in here if self._name_of(queue) is not None)
        _LOGGER.info(
            "guarded queues: %s; of the queues that this worker reads: %s",
            ", ".join(sorted(self.names)) or "as the callable says",
            ", ".join(guarded) or "none",
        )
        names = [name for queue in guarded if (name := self._name_of(queue))]
        if names and not self._is_store_checked:
            self._is_store_checked = True  # a worker that reconnects later is not ended by it
            _check_store(names[0], self._options)

    def describe(self, queue: str) -> dict[str, Any]:
        """The arguments of a gate that guards this queue alone, for another process."""
        return {
            "queues": {queue: self._name_of(queue)},
            "requeue": self.requeues,
            **self._options,
        }

    def outcome(
        self, error: BaseException | None, limited: RateLimit | None, status: Status | None
    ) -> Outcome:
        """What follows from the report of a job.

        Args:
            error: what the job raised.
            limited: what the classifier made of it.
            status: what the store answered to the report.
        """
        if error is None or not self.requeues or not goes_back(error, limited, status):
            return Outcome(limited)
        asked = limited or refusal(error)
        retry_after = asked.retry_after if asked else None
        return Outcome(limited, is_put_back=True, delay=_delay(retry_after, status))

    def _unknown(self, name: str, here: set[str]) -> str:
        near = difflib.get_close_matches(name, here, n=1) or sorted(here)[:1]
        line = self._line.format(*(near or ["NAME"]))
        return (
            f"there is no queue {name!r} to guard: this worker reads "
            f"{', '.join(map(repr, sorted(here))) or 'no queue'}, and no other queue of this name "
            f"is known; write {line}"
        )


class Gate(Guarded):
    """The guarded queues of a process, and their breakers."""

    def __init__(
        self, queues: Queues = None, *, line: str, requeue: bool = True, **options: Any
    ) -> None:
        super().__init__(queues, line=line, requeue=requeue, **options)
        self._breakers: dict[str, Breaker] = {}

    def breaker(self, queue: str) -> Breaker | None:
        """Return the breaker of a queue, or None if the queue is not guarded."""
        name = self._name_of(queue)
        if name is None:
            return None
        known = self._breakers.get(name)
        if known is not None:
            return known
        made = Breaker(name, **self._options)
        kept = self._breakers.setdefault(name, made)  # another thread may have been faster
        if kept is not made:
            made.close()
        return kept

    def settle(
        self,
        permit: Permit,
        error: BaseException | None,
        *,
        control_flow: tuple[type[BaseException], ...] = (),
    ) -> Outcome:
        """Report what a job ended with, and say what follows.

        A job that is done stays done: a failure of the store is logged, not raised.

        Args:
            permit: the job's permit.
            error: what the job raised; None: it succeeded.
            control_flow: the framework's own exceptions. The exception that one wraps is reported,
                and the framework does what it was told.
        """
        if not isinstance(error, control_flow):
            return self.outcome(error, permit.report(error), permit.status)
        if (inner := wrapped(error)) is not None:
            return Outcome(permit.report(inner))
        give_back(permit.release)
        return Outcome()


def acquire(breaker: Breaker) -> tuple[Permit | None, float]:
    """Ask for a permit without waiting.

    Returns:
        The permit, or None and the seconds after which it is worth asking again.
    """
    try:
        return breaker.acquire(timeout=0), 0.0
    except BreakerOpen as error:
        return None, next_look(error)
    except StoreError:
        _LOGGER.exception("%s: the store cannot be asked; the queue waits", breaker.name)
        return None, POLL


def next_look(error: BreakerOpen) -> float:
    """Seconds after which it is worth asking for a permit again."""
    return POLL if error.retry_after is None else min(POLL, error.retry_after)


def is_current(permit: Permit) -> bool:
    """Whether a permit still holds."""
    try:
        return permit.is_current()
    except StoreError:
        return False


def give_back(give: Callable[[], object]) -> None:
    """Give a permit back, by its `unused` or its `release`; a failure of the store is logged."""
    try:
        give()
    except StoreError:
        _LOGGER.exception("a permit could not be given back")


@contextlib.contextmanager
def extra(framework: str, least: str) -> Iterator[None]:
    """Import a framework inside this block.

    Raises:
        ImportError: it is missing, or older than `least`.
    """
    command = f"pip install 'fleet-breaker[{framework}]'"
    try:
        found = importlib.metadata.version(framework)
    except importlib.metadata.PackageNotFoundError as error:
        message = f"{framework} is not installed: {command}"
        raise ImportError(message) from error
    if _version(found) < _version(least):
        message = f"{framework} {found} is too old, {least} or newer is needed: {command}"
        raise ImportError(message)
    yield


def wrapped(error: BaseException) -> BaseException | None:
    """The exception that a framework's own exception carries (Celery's `exc`), or came from."""
    carried = getattr(error, "exc", None)
    return carried if isinstance(carried, BaseException) else error.__cause__


def _version(text: str) -> tuple[int, ...]:
    """The leading numbers: 2.8.0rc1 is (2, 8, 0)."""
    match = re.match(r"\d+(\.\d+)*", text)
    return tuple(map(int, match[0].split("."))) if match else ()


def _delay(retry_after: float | None, status: Status | None) -> float:
    """No delay if the queue is paused, or will be after a few more errors."""
    if status and (status.is_paused or status.consecutive_errors < status.threshold):
        return 0.0
    return min(retry_after or SHORT_DELAY, LONGEST_DELAY)


def _mapped(queues: Queues, line: str) -> tuple[Callable[[str], str | None], Mapping[str, str]]:
    """Return the function from queue to breaker, and the pairs that are known beforehand."""
    if callable(queues):
        return queues, {}
    pairs = _pairs(queues, line)
    return pairs.get, pairs


def _pairs(queues: Any, line: str) -> Mapping[str, str]:
    if queues is None:
        queues = _from_environment(os.environ.get(ENVIRONMENT, ""))
    example = line.format("content")
    if isinstance(queues, str | bytes) or not isinstance(queues, Iterable):
        raise ConfigurationError(
            [f"queues must be a list, a mapping or a callable, not {queues!r}: write {example}"]
        )
    pairs = dict(queues) if isinstance(queues, Mapping) else {name: name for name in queues}
    if not pairs:
        raise ConfigurationError([f"no queue is guarded: write {example}"])
    if bad := [name for name in pairs if not isinstance(name, str) or not name]:
        raise ConfigurationError([f"not the name of a queue: {name!r}" for name in bad])
    return pairs


def _from_environment(text: str) -> dict[str, str]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    named = [(queue.strip(), name.strip()) for queue, _, name in map(_split, parts)]
    if bad := [part for part, pair in zip(parts, named, strict=True) if not all(pair)]:
        raise ConfigurationError(
            [
                f"{ENVIRONMENT}: {part!r} is not of the form QUEUE or QUEUE=BREAKER"
                for part in bad
            ]
        )
    return dict(named)


def _split(part: str) -> tuple[str, str, str]:
    return part.partition("=") if "=" in part else (part, "=", part)


def _check_store(name: str, options: Mapping[str, Any]) -> None:
    """Ask the store once; one that is away may come back, one that refuses will not."""
    with Breaker(name, **{**options, "push": False, "declare": False}) as breaker:
        try:
            breaker.status()
        except StoreUnavailable as error:
            _LOGGER.warning("%s; the worker starts without it", error)
        except StoreRefused as error:
            message = (
                f"the breaker's store does not take this worker: {error}; write where it is, as "
                f'whom and how, in {STORE}=redis://USER:PASSWORD@HOST:6379/0 or in url="..." '
                "(with TLS: rediss://...?ssl_ca_certs=FILE)"
            )
            raise ConfigurationError([message]) from error


def _check_breakers(names: Iterable[str], options: Mapping[str, Any]) -> None:
    """Check names and options as Breaker does; nothing is connected yet."""
    problems: list[str] = []
    for name in names:
        try:
            Breaker(name, **options).close()
        except ConfigurationError as error:
            problems += error.problems
    if problems:
        raise ConfigurationError(sorted(set(problems)))
