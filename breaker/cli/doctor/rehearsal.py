"""Run every script once, on a scratch breaker, with the credentials that workers use.

A missing right shows only when the script needs it, and older servers name the command only by its
line in the script.
"""

import time
import uuid
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from breaker.cli import faults
from breaker.cli.doctor.permissions import OPTIONAL, refused_command, refuses_command
from breaker.errors import StoreError
from breaker.model import Grant, Transition
from breaker.protocol import outbox, wire
from breaker.protocol.asking import Asker, unlisted
from breaker.protocol.keys import Keys
from breaker.protocol.plans import Plans
from breaker.protocol.replies import Reply
from breaker.protocol.requests import Ask, Request, Send
from breaker.protocol.scripts import Script
from breaker.settings import Settings
from breaker.store.run_sync import SyncStore


@dataclass(frozen=True, slots=True)
class Trouble:
    """What a script could not do.

    Attributes:
        script: its name; empty for a command outside of scripts.
        reason: the store's error.
        command: the command that is not allowed, if that is the reason.
        purpose: "push", "history" or "alerts", if only that needs it; else empty.
        wrong: what is wrong with the store, if not a right is missing.
        order: what to do about that.
    """

    script: str
    reason: str
    command: str
    purpose: str = ""
    wrong: str = ""
    order: str = ""


@dataclass(slots=True)
class Rehearsal:
    """One run of all scripts; `touched` are the keys to remove after it."""

    store: SyncStore
    prefix: str
    name: str = field(default_factory=lambda: f"doctor-{uuid.uuid4().hex[:12]}")
    touched: set[str] = field(default_factory=set)

    @property
    def keys(self) -> Keys:
        """The keys of the scratch breaker."""
        return Keys(self.prefix, self.name)

    def troubles(self) -> Iterator[Trouble]:
        """Run the scripts and yield what went wrong with each."""
        channel = self.keys.channel(self.store.target.database)
        settings = Settings.resolve({"threshold": 1}, {})
        asker = Asker(self.keys, channel, "doctor", settings, clock=time.monotonic)
        plans = Plans(asker, random=lambda: 0.0)
        probe = Grant(uuid.uuid4().hex, epoch=0, run=0, is_probe=True)
        for plan in (
            plans.acquire(0),
            plans.rate_limit_error(1.0, None),
            plans.rate_limit_error(2.0, None),
            plans.order("resume", "", "doctor"),
            plans.success(),
            plans.release(probe),
            plans.observe({"RateLimit-Remaining": "0", "RateLimit-Reset": "9"}),
            plans.pause(1.0, "", "doctor"),
            plans.order("reset", "", "doctor"),
            plans.order("disable", "", "doctor"),
            plans.order("enable", "", "doctor"),
            plans.configure({"threshold": 2}, "doctor"),
            plans.status(),
            plans.events(1),
            asker.history_after("0"),
            _told(self.keys),
            _noted(self.keys),
            outbox.waiting(self.keys),
            asker.forget(),
            unlisted(self.keys),
        ):
            yield from self._troubles_of(plan)

    def _troubles_of(self, plan: Generator[Request, Any, object]) -> Iterator[Trouble]:
        heard: list[Trouble] = []
        asked: list[Ask] = []
        try:
            self.store.run(self._overheard(plan, asked, heard))
        except StoreError as error:
            yield _trouble(asked, error)
        yield from heard

    def _overheard(
        self, plan: Generator[Request, Any, object], asked: list[Ask], heard: list[Trouble]
    ) -> Generator[Request, Any, None]:
        """Pass on the plan's requests, except for the list of names, which workers read."""
        answer = None
        while True:
            try:
                request = plan.send(answer)
            except StopIteration:
                return
            if isinstance(request, Send) and request.command[0] in ("SADD", "SREM"):
                answer = None
                continue
            if isinstance(request, Ask):
                asked.append(request)
                self.touched.update(request.keys)
            answer = yield request
            if isinstance(request, Ask):
                heard.extend(_lost(request.script, wire.decode(answer)))


def _told(keys: Keys) -> Generator[Request, Any, None]:
    """Take alerts, keep and acknowledge them, as a channel's courier does."""
    taken = yield from outbox.take(keys, "doctor")
    for entry in taken.entries:
        yield from outbox.renew(keys, "doctor", (entry.id,))
        yield from outbox.acknowledge(keys, "doctor", entry)


def _noted(keys: Keys) -> Generator[Request, Any, None]:
    loss = Transition(
        keys.name, "state-lost", "", "", 0, datetime.now(UTC), reason="a rehearsal"
    )
    yield from outbox.note_loss(keys, loss)


def _trouble(asked: list[Ask], error: StoreError) -> Trouble:
    sent = asked[-1].script if asked else None
    reason = str(error)
    command = refused_command(reason, sent)
    return Trouble(
        sent.name if sent else "",
        reason,
        command,
        OPTIONAL.get(command, ""),
        wrong="" if error.code == "NOPERM" else faults.wrong(error),
        order="" if error.code == "NOPERM" else faults.order(error),
    )


def _lost(sent: Script, reply: Reply) -> Iterator[Trouble]:
    """The writes that the script went on without."""
    for what, command in (("event_lost", "XADD"), ("push_lost", "PUBLISH")):
        if what in reply:
            reason = str(reply.get(what))
            refused = command if refuses_command(reason) else ""
            yield Trouble(sent.name, reason, refused, OPTIONAL[command])
