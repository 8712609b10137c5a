"""What every command works with: the store it was pointed at, and the breakers there."""

import getpass
import shlex
import socket
from contextlib import ExitStack
from typing import Self

from breaker.cli import show
from breaker.cli.names import UnknownBreaker, is_known
from breaker.fleet import Fleet
from breaker.model import Status, Transition
from breaker.protocol.keys import PREFIX
from breaker.sync import Breaker


class Session:
    """One run of a command against one store and prefix."""

    def __init__(self, url: str | None, prefix: str | None) -> None:
        self.url = url
        self.prefix = PREFIX if prefix is None else prefix
        self._opened = ExitStack()
        self._fleet: Fleet | None = None

    @property
    def fleet(self) -> Fleet:
        """All the breakers there, connected to when first asked for."""
        if self._fleet is None:
            self._fleet = Fleet(url=self.url, prefix=self.prefix)
            self._opened.callback(self._fleet.close)
        return self._fleet

    def breaker(self, name: str) -> Breaker:
        """One breaker, whether anybody knows it or not; the caller closes it.

        It asks the store each time, and says so if that does not answer.
        """
        return Breaker(
            name, url=self.url, prefix=self.prefix, push=False, on_store_failure="raise"
        )

    def statuses(self) -> list[Status]:
        """The state of each breaker there is; says on stderr which could not be read."""
        found = [status for status in self.fleet.statuses() if is_known(status)]
        for name, refusal in self.fleet.unreadable.items():
            show.note(f"{name!r} cannot be read, see `breaker doctor`: {refusal}")
        return found

    def status(self, name: str) -> Status:
        """The state of a breaker that there is.

        Raises:
            UnknownBreaker: there is none of that name.
        """
        with self.breaker(name) as breaker:
            status = breaker.status()
        if not is_known(status):
            raise UnknownBreaker(name, self.fleet.names())
        return status

    def events(self, name: str, limit: int) -> list[Transition]:
        """The history of a breaker, the oldest entry first."""
        with self.breaker(name) as breaker:
            return breaker.events(limit)

    def command(self, verb: str, name: str) -> str:
        """Another command for the same store, ready to be pasted; without the password."""
        options = [] if self.prefix == PREFIX else ["--prefix", self.prefix]
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


def operator() -> str:
    """Who steers, where nobody said: user and host."""
    try:
        user = getpass.getuser()
    except (ImportError, KeyError, OSError):  # a container's user may have no name
        user = "unknown"
    return f"{user}@{socket.gethostname()}"
