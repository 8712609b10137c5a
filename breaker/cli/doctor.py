"""`breaker doctor`: check the store, and say what to do about each fault."""

import shlex
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import asdict
from typing import Any

import click
import redis
from rich.text import Text

from breaker.cli import as_json, checks, show
from breaker.cli.checks import Check, Level
from breaker.cli.exits import Exit
from breaker.cli.options import command, json_option
from breaker.cli.permissions import WITHOUT, refused_command, remedy
from breaker.cli.rehearsal import Rehearsal, Trouble
from breaker.cli.session import Session
from breaker.errors import ConfigurationError, StoreError, StoreRefused
from breaker.fleet import Fleet
from breaker.model import Transition
from breaker.protocol.keys import Keys, registry
from breaker.protocol.wire import text
from breaker.store.connect import CLIENT_NAME, TIMEOUT, open_sync
from breaker.store.link import NAME
from breaker.store.run_sync import SyncStore
from breaker.store.verdicts import translate

SCHEMA = "1"
# The latency shown is the median of this many pings.
PINGS = 5
# At most this many breakers are read.
LOOKED_AT = 1000
# At most this many names are listed in one line.
SHOWN = 5
ODD = {
    "the state is gone": "flushed, evicted or failed over; the next job makes a new one",
    "the state is not a hash": "something else has used this key: delete it",
    "the state was written by another release": "upgrade: pip install -U fleet-breaker",
}
# What to check if the store does not answer, and if it refuses.
HINTS = (
    "check that it runs, that this machine can reach it, and whether it needs TLS (rediss://)",
    "check user, password and scheme (rediss:// is for TLS) of the URL",
)
STYLES = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "bold red"}


@command("doctor")
@json_option
def doctor(session: Session, *, json: bool) -> None:
    """Check the store: connection, version, permissions, memory, clock."""
    found: list[Check] = []
    for check in examine(session):
        found.append(check)
        if not json:
            show.lines(as_lines(check))
    failed = any(check.level is Level.FAIL for check in found)
    if json:
        answer = {"ok": not failed, "checks": [asdict(check) for check in found]}
        show.lines([as_json.pretty(answer)])
    if failed:
        raise click.exceptions.Exit(Exit.FAILED)


def as_lines(check: Check) -> Iterator[Text]:
    """One check as text. On a terminal the advice is on a line of its own."""
    line = Text.assemble(
        (f"{check.level:<6}", STYLES[check.level]), (f"{check.name:<13}", "bold")
    )
    line.append(show.clean(check.message))
    if not check.advice:
        yield line
    elif show.screen().is_terminal:
        yield line
        yield Text(f"{'':<19}{show.clean(check.advice)}", "dim")
    else:
        yield line.append(f"; {show.clean(check.advice)}")


def examine(session: Session) -> Iterator[Check]:
    """Run the checks; stop after a fault that makes the rest impossible."""
    try:
        target = session.fleet.target
    except ConfigurationError as error:
        yield Check("url", Level.FAIL, str(error), "set --url or BREAKER_URL")
        return
    yield Check("url", Level.OK, str(target))
    with closing(open_sync(target)) as client, closing(SyncStore(target, _keep_quiet)) as store:
        yield from Examination(session.fleet, client, store).run()


def _lacking(name: str, found: str, advice: str, purpose: str) -> Check:
    """A missing right: a fault, unless only push or the history needs it."""
    if purpose:
        return Check(name, Level.WARN, f"{found}: {WITHOUT[purpose]}", advice)
    return Check(name, Level.FAIL, found, advice)


def _keep_quiet(_transitions: tuple[Transition, ...]) -> None:
    """Send no alert, because the trip is only a rehearsal."""


class Examination:
    """The checks of one store."""

    def __init__(self, fleet: Fleet, client: redis.Redis, store: SyncStore) -> None:
        self.fleet = fleet
        self.target = fleet.target
        self.prefix = fleet.prefix
        self.client = client
        self.rehearsal = Rehearsal(store, fleet.prefix)

    def run(self) -> Iterator[Check]:
        """Yield all checks; for one that cannot be made, the reason."""
        connected = list(self._look("connection", self.connection))
        yield from connected
        if any(check.level is Level.FAIL for check in connected):
            return
        yield from self._look("info", self.account)
        yield from self._look("connections", self.connections)
        yield from self._look("clock", self.clock)
        yield from self._look("scripts", self.scripts)
        yield from self._look("names", self.names)
        yield from self._look("push", self.push)
        yield from self._look("breakers", self.breakers)
        yield from self._look("options", self.options)

    def _look(self, name: str, look: Callable[[], Iterator[Check]]) -> Iterator[Check]:
        try:
            yield from look()
        except (redis.RedisError, OSError) as error:
            said = translate(error, self.target)
            advice = self._remedy(str(said))
            if not advice and name == "connection":
                advice = HINTS[isinstance(said, StoreRefused)]
            yield Check(name, Level.FAIL, str(said).rstrip("."), advice)

    def _remedy(self, error: str) -> str:
        return remedy(error, self._user, self.prefix)

    @property
    def _user(self) -> str:
        return str(dict(self.target.data).get("username") or "default")

    def connection(self) -> Iterator[Check]:
        """Check that the store answers, and how fast."""
        took = []
        for _ in range(PINGS):
            start = time.monotonic()
            try:
                self.client.ping()
            except redis.exceptions.NoPermissionError as error:
                if refused_command(str(error), None) != "PING":
                    raise  # the connection itself was refused
            took.append(time.monotonic() - start)
        yield checks.latency(statistics.median(took))

    def account(self) -> Iterator[Check]:
        """Check what INFO says."""
        try:
            info: dict[str, Any] = self.client.info()
        except redis.exceptions.NoPermissionError:
            missed = "version, role and memory could not be checked"
            yield Check("info", Level.WARN, missed, f"ACL SETUSER {self._user} +info")
            return
        for check in (
            checks.server,
            checks.mode,
            checks.role,
            checks.replicas,
            checks.persistence,
        ):
            yield check(info)
        yield from checks.memory(info)

    def connections(self) -> Iterator[Check]:
        """Count the connections of this library by their names."""
        try:
            clients = self.client.client_list()
        except redis.exceptions.NoPermissionError:
            advice = f"ACL SETUSER {self._user} +client|list"
            yield Check("connections", Level.OK, "may not be counted", advice)
            return
        names = Counter(one["name"] for one in clients)
        yield checks.connections(len(clients), names[NAME], names[CLIENT_NAME], self._limit())

    def _limit(self) -> int:
        """The most connections that the server takes; 0 if it does not say."""
        try:
            info: dict[str, Any] = self.client.info("clients")
        except redis.exceptions.NoPermissionError:
            return 0
        return int(info.get("maxclients", 0))

    def clock(self) -> Iterator[Check]:
        """Compare the store's clock with this machine's."""
        before = time.time()
        seconds, microseconds = self.client.time()
        yield checks.clock(seconds + microseconds / 1e6 - (before + time.time()) / 2)

    def scripts(self) -> Iterator[Check]:
        """Check that every script has the rights it needs, by running it."""
        # The rehearsal sends a script's text only if the store does not have it yet.
        self.client.eval("return 1", 0)
        try:
            troubles = list(self.rehearsal.troubles())
        finally:
            left = self._cleaned_up()
        yield from self._verdicts(troubles)
        if left:
            yield Check(
                "cleanup", Level.WARN, "scratch keys are left", f"DEL {shlex.join(left)}"
            )

    def _cleaned_up(self) -> list[str]:
        """Remove the scratch keys; return those that could not be removed."""
        left = []
        for key in sorted(self.rehearsal.touched):
            try:
                self.client.delete(key)
            except redis.RedisError:
                left.append(key)
        return left

    def _verdicts(self, troubles: list[Trouble]) -> Iterator[Check]:
        if not troubles:
            yield Check("scripts", Level.OK, "all scripts ran with the rights they need")
        scripts: dict[tuple[str, str], set[str]] = defaultdict(set)
        for trouble in troubles:
            denied = f"the user {self._user!r} may not run {trouble.command}"
            said = denied if trouble.command else trouble.reason.rstrip(".")
            place = f"{trouble.script}.lua" if trouble.script else "events"
            scripts[said, trouble.purpose].add(place)
        rule = self._remedy(" ".join(trouble.reason for trouble in troubles))
        for (said, purpose), names in scripts.items():
            found = f"{said} (in {', '.join(sorted(names))})"
            yield _lacking("scripts", found, rule, purpose)

    def names(self) -> Iterator[Check]:
        """Check that the list of breakers can be read and written."""
        listed = registry(self.prefix)
        known = self.client.smembers(listed)
        if known:  # workers read this list: adding a name that it has changes nothing
            self.client.sadd(listed, next(iter(known)))
        else:
            self.client.srem(listed, self.rehearsal.name)
            self.client.sadd(listed, self.rehearsal.name)
            self.client.srem(listed, self.rehearsal.name)
        yield Check(
            "names", Level.OK, f"the key {listed!r} (list of breakers) can be read and written"
        )

    def push(self) -> Iterator[Check]:
        """Check that workers can subscribe to changes."""
        keys = Keys(self.prefix, "doctor")
        refused: list[str] = []
        with closing(self.client.pubsub()) as listener:

            def hear(change: Callable[[str], object]) -> None:
                change(keys.channel(self.target.database))
                listener.get_message(timeout=TIMEOUT)  # raises what the store refuses

            for attempt in (
                self.client.ping,
                lambda: self.client.hmget(keys["state"], "news"),
                lambda: hear(listener.subscribe),
                lambda: hear(listener.unsubscribe),
            ):
                try:
                    attempt()
                except redis.exceptions.NoPermissionError as error:
                    refused.append(str(error).rstrip("."))
        rule = self._remedy(" ".join(refused))
        for refusal in dict.fromkeys(refused):
            yield _lacking("push", refusal, rule, "push")
        if not refused:
            yield Check("push", Level.OK, "can subscribe to changes")

    def breakers(self) -> Iterator[Check]:
        """Check that the stored state was written by this release."""
        known = sorted(map(text, self.client.smembers(registry(self.prefix))))
        odd: dict[str, list[str]] = defaultdict(list)
        for name in known[:LOOKED_AT]:
            odd[self._oddity(name)].append(name)
        for oddity in filter(None, odd):
            names = odd[oddity]
            more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
            yield Check(
                "breakers",
                Level.WARN,
                f"{', '.join(names[:SHOWN])}{more}: {oddity}",
                ODD[oddity],
            )
        yield Check("breakers", Level.OK, f"{len(known)} known")

    def options(self) -> Iterator[Check]:
        """Compare what operators set and what releases declare with what is in force."""
        with suppress(StoreError):  # `breakers` says which ones cannot be read
            for status in self.fleet.statuses():
                yield from checks.options(status)

    def _oddity(self, name: str) -> str:
        try:
            state = self.client.hgetall(Keys(self.prefix, name)["state"])
        except redis.exceptions.ResponseError:
            return "the state is not a hash"
        if not state:
            return "the state is gone"
        schema = text(state.get(b"schema", b"?"))
        return "" if schema == SCHEMA else "the state was written by another release"
