"""What every command works with: the store that was named, and the breakers in it.

What speaks to the store is imported when it is first needed, so that `--help` does not wait for it.
"""

import getpass
import shlex
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Self

from breaker.cli.names import UnknownBreaker, is_known
from breaker.protocol.keys import find_prefix

if TYPE_CHECKING:
    from breaker.fleet import Fleet
    from breaker.model import Status, Transition
    from breaker.sync import Breaker


class Session:
    """One run of a command against one store and prefix."""

    def __init__(self, url: str | None, prefix: str | None) -> None:
        self.url = url
        self.prefix = find_prefix(prefix)
        self._opened = ExitStack()
        self._fleet: Fleet | None = None

    @property
    def fleet(self) -> "Fleet":
        """All breakers of the store and prefix. Connects on first use."""
        if self._fleet is None:
            with _hidden("opentelemetry"):
                from breaker.alerts import outbox  # noqa: PLC0415 - see above
                from breaker.fleet import Fleet  # noqa: PLC0415 - see above

            outbox.leave_to_others()  # a command is no worker
            self._fleet = Fleet(url=self.url, prefix=self.prefix)
            self._opened.callback(self._fleet.close)
        return self._fleet

    def breaker(self, name: str) -> "Breaker":
        """Make one breaker, known or new; the caller closes it.

        It asks the store each time, and raises if the store does not answer.
        """
        from breaker.alerts import outbox  # noqa: PLC0415 - see above
        from breaker.sync import Breaker  # noqa: PLC0415 - see above

        outbox.leave_to_others()

        return Breaker(
            name, url=self.url, prefix=self.prefix, push=False, on_store_failure="raise"
        )

    def statuses(self) -> "list[Status]":
        """Read the state of every breaker; report on stderr those that cannot be read."""
        found = [status for status in self.fleet.statuses() if is_known(status)]
        for name, refusal in self.fleet.unreadable.items():
            from breaker.cli import faults, show  # noqa: PLC0415 - see above

            show.note(f"{name!r} cannot be read: {faults.sentence(refusal)}")
        return found

    def look(self, name: str) -> "Status":
        """Read the state of a breaker, known or new."""
        with self.breaker(name) as breaker:
            return breaker.status()

    def status(self, name: str) -> "Status":
        """Read the state of an existing breaker.

        Raises:
            UnknownBreaker: no breaker has this name.
        """
        status = self.look(name)
        if not is_known(status):
            raise UnknownBreaker(name, self.fleet.names())
        return status

    def events(self, name: str, limit: int) -> "list[Transition]":
        """Read the history of a breaker, the oldest entry first."""
        with self.breaker(name) as breaker:
            return breaker.events(limit)

    def command(self, verb: str, name: str) -> str:
        """Another command for the same store, ready to be pasted; without the password."""
        options = [] if self.prefix == find_prefix(None) else ["--prefix", self.prefix]
        if self.url is not None:
            data = dict(self.fleet.target.data)
            has_secret = data.get("username") or data.get("password")
            options += ["--url", "..." if has_secret else self.url]
        ends_options = ["--"] if name.startswith("-") else []
        return shlex.join(["breaker", *options, verb, *ends_options, name])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._opened.close()


@contextmanager
def _hidden(package: str) -> Iterator[None]:
    """Import without a package that is optional there.

    If OpenTelemetry is installed, redis-py imports it to record metrics: 15 ms, for a command that
    records none.
    """
    if package in sys.modules:
        yield
        return
    sys.modules[package] = None  # type: ignore[assignment] # that is how Python marks it missing
    try:
        yield
    finally:
        del sys.modules[package]


def operator() -> str:
    """The default for --by: user and host of this process."""
    try:
        user = getpass.getuser()
    except (ImportError, KeyError, OSError):  # a container's user may have no name
        user = "unknown"
    return f"{user}@{socket.gethostname()}"
