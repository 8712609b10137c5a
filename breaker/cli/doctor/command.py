"""`breaker doctor`: check the store, and say what to do about each fault."""

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import asdict

import click
import redis
from rich.text import Text

from breaker.cli import as_json, faults, show
from breaker.cli.doctor.acl import Rules, rules_for
from breaker.cli.doctor.breakers import breakers
from breaker.cli.doctor.case import Case
from breaker.cli.doctor.clock import clock
from breaker.cli.doctor.connection import connection
from breaker.cli.doctor.connections import connections
from breaker.cli.doctor.finding import Check, Level, Look
from breaker.cli.doctor.memory import memory
from breaker.cli.doctor.names import names
from breaker.cli.doctor.options import options
from breaker.cli.doctor.push import push
from breaker.cli.doctor.scripts import scripts
from breaker.cli.doctor.server import server
from breaker.cli.exits import Exit
from breaker.cli.options import command, json_option
from breaker.cli.session import Session
from breaker.errors import ConfigurationError, StoreError, StoreRefused
from breaker.protocol.requests import Tell
from breaker.store.connect import open_cluster, open_sync
from breaker.store.run_sync import SyncStore
from breaker.store.target import Target
from breaker.store.topology import primaries
from breaker.store.verdicts import translate

# All checks of a server but that of the connection, without which none of them can be made.
SERVER_CHECKS: tuple[Look, ...] = (server, memory, connections, clock)
# The checks of the whole store.
CHECKS: tuple[Look, ...] = (
    scripts,
    names,
    push,
    breakers,
    options,
)
# What to check if the store does not answer, and if it refuses.
HINTS = (
    "check that it runs, that this machine can reach it, and whether it needs TLS (rediss://)",
    "check user, password and scheme (rediss:// is for TLS) of the URL",
)
STYLES = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "bold red"}


@command("doctor")
@click.option(
    "--acl",
    is_flag=True,
    help="Print the ACL rule for a user that may do what breakers need, and no more.",
)
@json_option
def doctor(session: Session, *, acl: bool, json: bool) -> None:
    """Check the store: connection, version, permissions, memory, clock.

    With --acl, checks nothing.

    Example: breaker doctor --acl --url redis://worker@redis.example/0
    """
    if acl:
        print_rules(rules_for(session.fleet.target, session.prefix), json=json)
        return
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


def print_rules(rules: Rules, *, json: bool) -> None:
    """Print the ACL rule alone, to be pasted into redis-cli or valkey-cli."""
    show.lines([as_json.pretty(asdict(rules)) if json else rules.line()])


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
    try:
        nodes = primaries(target)
    except StoreError as error:
        advice = faults.order(error) or HINTS[isinstance(error, StoreRefused)]
        yield Check("connection", Level.FAIL, faults.wrong(error), advice)
        return
    with closing(SyncStore(target, _keep_quiet)) as store:
        for node in nodes:
            failed = yield from examine_server(session, node, store)
            if failed:
                return
        whole = open_cluster(target) if target.is_cluster else open_sync(nodes[0])
        with closing(whole) as client:
            case = Case(session.fleet, client, store)
            for check in CHECKS:
                yield from look(case, check)


def examine_server(
    session: Session, node: Target, store: SyncStore
) -> Generator[Check, None, bool]:
    """Run the checks of one server; returns whether there is no connection to it."""
    with closing(open_sync(node)) as client:
        case = Case(session.fleet, client, store)
        if node != case.target:
            yield Check("primary", Level.OK, str(node))
        connected = list(look(case, connection))
        yield from connected
        if any(check.level is Level.FAIL for check in connected):
            return True
        for check in SERVER_CHECKS:
            yield from look(case, check)
    return False


def look(case: Case, check: Look) -> Iterator[Check]:
    """Make one check; if it cannot be made, say why."""
    try:
        yield from check(case)
    except (redis.RedisError, OSError) as error:
        said = translate(error, case.target)
        rule = case.remedy(str(said))
        found = str(said).rstrip(".") if rule else faults.wrong(said)
        advice = rule or faults.order(said)
        if not advice and check is connection:
            advice = HINTS[isinstance(said, StoreRefused)]
        yield Check(check.__name__, Level.FAIL, found, advice)


def _keep_quiet(_told: Tell, _target: Target) -> None:
    """Send no alert, because the trip is only a rehearsal."""
