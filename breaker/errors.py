"""Every error this package raises.

BreakerError
├── ConfigurationError (also a ValueError)   invalid arguments or options; every problem in one message
├── BreakerOpen                              no permit within the timeout
├── BreakerStopped                           close() was called
└── StoreError                               the store failed or refused
    ├── StoreUnavailable                     an outage; may recover by itself
    └── StoreRefused                         password, permission, wrong type, too old: needs an operator
"""

from collections.abc import Sequence


class BreakerError(Exception):
    """The base of every error of this package."""


class ConfigurationError(BreakerError, ValueError):
    """Invalid arguments or options. `problems` holds one line per problem."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


class BreakerOpen(BreakerError):  # noqa: N818 - the public name, a state and not a fault
    """No permit within the timeout.

    Attributes:
        name: the breaker.
        retry_after: seconds until it is worth asking again; None if only an operator ends the pause.
        epoch: the trip that paused the queue.
        state: "open", "forced-open" or "half-open".
    """

    def __init__(self, name: str, *, retry_after: float | None, epoch: int, state: str) -> None:
        if retry_after is None:
            until = " until resumed"
        elif state == "half-open":
            until = f": a job may go in {retry_after:.1f} s"
        else:
            until = f" for another {retry_after:.1f} s"
        super().__init__(f"breaker {name!r} is {state}{until}")
        self.name = name
        self.retry_after = retry_after
        self.epoch = epoch
        self.state = state

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild_open, (self.name, self.retry_after, self.epoch, self.state)


def _rebuild_open(name: str, retry_after: float | None, epoch: int, state: str) -> BreakerOpen:
    return BreakerOpen(name, retry_after=retry_after, epoch=epoch, state=state)


class BreakerStopped(BreakerError):  # noqa: N818 - says what is, as BreakerOpen does
    """close() was called on the breaker, before this call or while it waited."""

    def __init__(self) -> None:
        super().__init__("the breaker was stopped by close(); make a new one to go on")


class StoreError(BreakerError):
    """Redis or Valkey failed, or refused a command.

    Attributes:
        code: the code of the store's own error, as READONLY, OOM or NOPERM; empty if it sent none.
        store: where the store is, without the password; empty if that is not known.
    """

    code = ""
    store = ""


class StoreUnavailable(StoreError):  # noqa: N818 - says what is, as BreakerOpen does
    """The store cannot be used for now. May recover by itself.

    Connection refused, timeout, loading, read-only, out of memory.
    """


class StoreRefused(StoreError):  # noqa: N818 - says what is, as BreakerOpen does
    """A configuration error: password, permission, TLS, a key of a wrong type."""
