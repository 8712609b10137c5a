"""One structured log line for each transition, on the logger `breaker`."""

import logging
import math
import threading
from time import monotonic

from breaker import forking
from breaker.model import Transition
from breaker.transitions import level_of

LOGGER = logging.getLogger("breaker")
# Transitions that this process remembers to have logged.
REMEMBERED = 1000
# Seconds within which all breakers of one name in this process notice that the state was lost: by a
# heartbeat within a second, or by a reading of the whole state, which comes every 15 to 30 s.
SAME_LOSS = 30.0

_logged: dict[object, object] = {}
_losses: dict[str, float] = {}
_lock = threading.Lock()


def write(transition: Transition) -> bool:
    """Log a transition, once per process; its fields are in the record's `breaker` attribute.

    There is no attribute `event`: structlog would print that in place of the message. All values
    can be written as JSON.

    Returns:
        Whether it was written; False: this process had logged it before.
    """
    if not _is_first(transition):
        return False
    LOGGER.log(
        level_of(transition.event),
        describe(transition),
        extra={"breaker": transition.plain(), "queue": transition.name},
    )
    return True


def describe(transition: Transition) -> str:
    """Say in one line what happened, why, and for how long."""
    words = [f"{transition.name}: {transition.event}"]
    if transition.is_shadow:
        words.append("(shadow mode, not paused)")
    if transition.is_local:
        words.append("(local breaker of this worker: the store is down)")
    if transition.before and transition.before != transition.after:
        words.append(f"{transition.before} -> {transition.after}")
    if transition.pause is not None:
        words.append(f"for {transition.pause:g} s")
    if transition.reason:
        words.append(f"- {transition.reason}")
    if transition.by:
        words.append(f"(by {transition.by})")
    if transition.replaces:
        words.append(f"(it was {transition.replaces})")
    return " ".join(words)


def _is_first(transition: Transition) -> bool:
    """Whether this process has not logged it yet. One call, for two threads may ask."""
    if transition.is_local:
        return True
    if (
        transition.event == "state-lost"
    ):  # each breaker of the process finds it, and the history says it
        return not _is_told(transition.name)
    mine = object()
    # The reply and the history tell of the same steps; versions begin anew with each incarnation.
    key = (
        transition.name,
        transition.incarnation,
        transition.version,
        transition.event,
        transition.epoch,
    )
    if _logged.setdefault(key, mine) is not mine:
        return False
    while len(_logged) > REMEMBERED:
        _logged.pop(next(iter(_logged), ""), None)
    return True


def _is_told(name: str) -> bool:
    """Whether another breaker of that name has just told of the same loss."""
    now = monotonic()
    with _lock:
        before, _losses[name] = _losses.get(name, -math.inf), now
    return now - before < SAME_LOSS


@forking.in_child
def _after_fork() -> None:
    global _lock  # noqa: PLW0603 - another thread may have held it at the fork
    _lock = threading.Lock()
