"""How one worker asks about one breaker: tokens, declared settings, the list of names, a lost state.

It knows no local picture. Those who have one (`breaker.protocol.plans`, `breaker.push`) take the
replies in themselves, each reply once.
"""

import json
import uuid
from collections.abc import Callable, Generator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, cast

from breaker.model import Grant, Status, Transition
from breaker.protocol import wire
from breaker.protocol.keys import Keys
from breaker.protocol.replies import Reply, Snapshot
from breaker.protocol.requests import Ask, Request, Send, Tell
from breaker.protocol.scripts import script
from breaker.settings import Settings


class Asker:
    """One worker's side of the conversations about one breaker.

    Args:
        keys: the breaker's keys.
        channel: where its changes are published.
        worker: the worker's name.
        settings: what this worker declares.
        clock: monotonic seconds.

    Attributes:
        last_reply: the newest reply of the store.
        replied_at: when it arrived, in monotonic seconds.
        declared_for: the incarnation for which this worker has declared its settings.
        declares: whether it declares them; False: only to a state that has none yet.
    """

    def __init__(
        self,
        keys: Keys,
        channel: str,
        worker: str,
        settings: Settings,
        *,
        clock: Callable[[], float],
    ) -> None:
        self.keys = keys
        self.channel = channel
        self.worker = worker
        self.settings = settings
        self.clock = clock
        self.last_reply: Reply = {}
        self.replied_at = 0.0
        self.declared_for = ""
        self.declares = True
        self._settings = settings.to_wire()
        self._registered_for = ""

    def report(
        self,
        name: str,
        token: str,
        seen: str = "",
        grant: Grant | None = None,
        *,
        may_guess: bool = True,
        **args: str | int,
    ) -> Generator[Request, Any, Any]:
        """Ask a script as a worker: the first time, declare the settings.

        Args:
            name: the script.
            token: the call's id.
            seen: the report's id.
            grant: the job's permit.
            may_guess: whether the local breaker may answer during an outage.
            **args: the script's own arguments.
        """
        is_first = self.declared_for == "" or self.declared_for != self._registered_for
        declares = self._settings if is_first and self.declares else ""
        # The local breaker counts its own epochs, so it gets its own permit_epoch.
        local: dict[str, str | int] = {}
        if grant and "permit_epoch" in args:
            local = {"permit_epoch": grant.epoch, "permit_incarnation": ""}
        local_args = local if may_guess else None
        reply = yield from self._ask(name, token, self.worker, seen, declares, args, local_args)
        # A repeat is answered before what it declares is read.
        if "is_local" not in reply and is_first and not reply.get("duplicate"):
            self.declared_for = reply["incarnation"]
        return reply

    def order(self, verb: str, by: str, **args: str | int) -> Generator[Request, Any, Any]:
        """Ask a script as an operator."""
        token = new_token()
        return (yield from self._ask(verb, token, by or self.worker, token, "", args))

    def snapshot(self, *, may_guess: bool = False) -> Generator[Request, Any, Snapshot]:
        """Ask for the whole state.

        Args:
            may_guess: whether the local breaker may answer during an outage.
        """
        local_args: Mapping[str, str | int] | None = {} if may_guess else None
        who = self.worker if self.declares else ""  # to look is not to use
        reply: Snapshot = yield from self._ask(
            "snapshot", new_token(), who, local_args=local_args
        )
        return reply

    def read(self) -> Generator[Request, Any, Snapshot]:
        """Ask for the whole state, and tell what is new in it."""
        reply = yield from self.snapshot()
        yield from self.tell(reply)
        return reply

    def tell(self, reply: Reply) -> Generator[Request, Any, None]:
        """Tell what this call has changed."""
        is_local = "is_local" in reply
        if "transitions" in reply:
            steps = (wire.transition(self.keys.name, step) for step in reply["transitions"])
            told = tuple(replace(step, is_local=is_local) for step in steps)
            yield Tell(told, self.keys)

    def history_after(self, mark: str) -> Generator[Request, Any, list[Transition]]:
        """Read the history after an entry's id, the oldest entry first."""
        entries = yield Send(("XRANGE", self.keys["events"], f"({mark}", "+"))
        return wire.events(self.keys.name, reversed(entries))

    def register(self, reply: Reply) -> Generator[Request, Any, None]:
        """Put the name on the list, once in each life of the store's state."""
        if "is_local" in reply or reply["incarnation"] == self._registered_for:
            return
        added = yield Send(("SADD", self.keys.registry, self.keys.name), may_fail=True)
        if added is not None:
            self._registered_for = reply["incarnation"]

    def forget(self) -> Generator[Request, Any, bool]:
        """End the breaker's life: its keys and its place in the list. Returns whether it had any."""
        reply = yield from self._ask("forget", new_token(), self.worker)
        yield Send(("SREM", self.keys.registry, self.keys.name))
        self._registered_for = self.declared_for = ""
        return bool(reply["changed"])

    def probe(self) -> Generator[Request, Any, None]:
        """Write something harmless, to see whether the store takes writes."""
        yield Send(("SET", self.keys["probe"], "1", "PX", 1000))

    def _ask(  # noqa: PLR0917 - one caller for each kind of speaker
        self,
        name: str,
        token: str,
        who: str,
        seen: str = "",
        declares: str = "",
        args: Mapping[str, str | int] = MappingProxyType({}),
        local_args: Mapping[str, str | int] | None = None,
    ) -> Generator[Request, Any, Any]:
        """Call a script; its arguments are put in the order of its header."""
        wanted = script(name)
        given: dict[str, str | int] = {
            "token": token,
            "channel": self.channel,
            "who": who,
            "declares": declares,
            **args,
        }
        if set(given) != set(wanted.args):
            message = f"lua/{name}.lua takes {wanted.args}, not {tuple(given)}"
            raise TypeError(message)
        keys = tuple(
            self.keys.seen(seen) if key == "seen" else self.keys[key] for key in wanted.keys
        )
        known, registered_for = self.last_reply, self._registered_for
        answer = yield Ask(wanted, keys, tuple(given[arg] for arg in wanted.args), local_args)
        reply = wire.decode(answer)
        if "wanted" in reply:  # the state is new: the same call again, with the settings
            given["declares"] = self._settings
            args_again = tuple(given[arg] for arg in wanted.args)
            reply = wire.decode((yield Ask(wanted, keys, args_again, local_args)))
        if "is_local" not in reply and "version" in reply:
            newest, self.last_reply, self.replied_at = self.last_reply, reply, self.clock()
            yield from self._tell_loss(reply, registered_for, (known, newest))
            # A guest, such as a scrape, is made anew for each look: all would be news to it.
            if self.declares and "transitions" not in reply and is_news(known, reply):
                yield Tell((), self.keys, int(reply.get("listeners", 0)))
        return reply

    def _tell_loss(
        self, reply: Reply, registered_for: str, known: tuple[Reply, Reply]
    ) -> Generator[Request, Any, None]:
        """Tell once that the store has another state, or an older one, than was known.

        Replies of several threads overtake each other, so what counts is what was known when the
        question was sent: only a loss can put its reply behind that.

        Args:
            reply: the reply.
            registered_for: the incarnation that was known when the question was sent.
            known: the newest reply then, and now.
        """
        is_another = reply.get("incarnation") != registered_for
        if registered_for and is_another and registered_for == self._registered_for:
            self._registered_for = ""
            yield Tell((wire.state_lost(self.keys.name, registered_for, reply),), self.keys)
        elif all(_is_ahead(one, reply) for one in known):
            rewound = wire.state_rewound(self.keys.name, known[0]["version"], reply)
            yield Tell((rewound,), self.keys)

    def status_of(self, reply: Snapshot) -> Status:
        """A Status from a whole view."""
        return wire.status(self.keys.name, reply, self.settings)

    def assumed(self) -> Reply:
        """The settings that hold if the store has not said others."""
        return cast("Reply", json.loads(self._settings))


def _is_ahead(known: Reply, reply: Reply) -> bool:
    is_same = known.get("incarnation") == reply.get("incarnation")
    return is_same and known.get("version", 0) > reply["version"]


def is_news(known: Reply, reply: Reply) -> bool:
    """Whether a trip, or the end of one, stands in the history since the last reply."""
    now, before = (
        (one.get("incarnation"), one.get("epoch", 0), one.get("state"))
        for one in (reply, known)
    )
    return now != before and reply.get("epoch", 0) > 0


def new_token() -> str:
    """A random id for one call."""
    return uuid.uuid4().hex


def registered(prefix_registry: str) -> Generator[Request, Any, list[str]]:
    """Read the names there are under a prefix, in order."""
    names = yield Send(("SMEMBERS", prefix_registry))
    return sorted(wire.text(name) for name in names)


def unlisted(keys: Keys) -> Generator[Request, Any, bool]:
    """Take a name without a state off the list of names.

    A worker puts the name on the list after it has made the state, so a state that is there by now
    may have lost its name just before.

    Returns:
        Whether it is off the list.
    """
    yield Send(("SREM", keys.registry, keys.name))
    if not (yield Send(("EXISTS", keys["state"]))):
        return True
    yield Send(("SADD", keys.registry, keys.name))
    return False
