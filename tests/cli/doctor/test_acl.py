"""The rule that `breaker doctor --acl` prints is enough for the whole library, and not too much."""

import contextlib
import json
import re
import shlex
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import breaker as package
from breaker import Breaker, BreakerError
from breaker.cli.doctor.permissions import commands
from breaker.fleet import Fleet
from breaker.protocol import outbox
from breaker.protocol.keys import Keys, registry
from tests.cli.doctor.conftest import PASSWORD
from tests.contract.waiting import eventually

KINDS = {"~": "key", "&": "channel", "+": "command"}


class Store:
    """A store whose users get the printed rule, perhaps without a part of it.

    Each user has a prefix of its own, so that many can work side by side.
    """

    def __init__(self, server, run, name, prefix):
        self.admin = server.client()
        self.url = server.url
        self.name, self.prefix = name, prefix
        named = server.url.replace("redis://", f"redis://{name}@")
        self.line = run("doctor", "--acl", url=named).stdout.strip()
        rules = json.loads(run("doctor", "--acl", "--json", url=named).stdout)
        self.grants = [
            *(f"~{key}" for key in rules["keys"]),
            *(f"&{channel}" for channel in rules["channels"]),
            *(f"+{command}" for command in rules["commands"]),
        ]

    def user(self, number, lacking=""):
        """Make a user by the printed line; its name, its URL and its prefix."""
        words = [word for word in shlex.split(self.line) if word != lacking]
        line = shlex.join(words).replace(self.prefix, f"{self.prefix}-{number}")
        line = line.replace(self.name, f"{self.name}-{number}").replace("PASSWORD", PASSWORD)
        self.admin.execute_command(*shlex.split(line))
        user = f"{self.name}-{number}"
        url = self.url.replace("redis://", f"redis://{user}:{PASSWORD}@")
        return user, url, f"{self.prefix}-{number}"

    def refused(self, user):
        """What the server refused to this user: kinds and objects."""
        return {
            (entry["reason"], entry["object"])
            for entry in self.admin.acl_log(128)
            if entry["username"] == user
        }

    @contextlib.contextmanager
    def work(self, url, prefix, failures):
        """Do all that the library does: as a worker, as an operator, as the service."""
        with contextlib.ExitStack() as opened:
            worker, other = (
                opened.enter_context(Breaker(name, url=url, prefix=prefix, threshold=2))
                for name in ("content", "images")
            )
            fleet = opened.enter_context(contextlib.closing(Fleet(url=url, prefix=prefix)))
            self.admin.sadd(registry(prefix), "gone")
            for act in (
                lambda: worker.acquire(timeout=0).success(),
                lambda: worker.record_rate_limit_error(1.0),
                lambda: worker.record_rate_limit_error(1.0),
                worker.resume,
                worker.reset,
                lambda: worker.acquire(timeout=0).release(),
                lambda: worker.observe({"RateLimit-Remaining": "0", "RateLimit-Reset": "9"}),
                lambda: worker.pause(0.1),
                worker.disable,
                worker.enable,
                lambda: worker.configure({"threshold": 3}),
                worker.events,
                lambda: list(fleet.statuses()),
                lambda: list(fleet.histories({"content": "0"})),
                lambda: list(fleet.alerts_under_way()),
                lambda: tell(fleet, Keys(prefix, "content")),
                fleet.probe,
                other.forget,
            ):
                with failures():
                    act()
            worker._watch._pump.wake(is_wanted=True)
            yield worker, other


def tell(fleet, keys):
    """What the courier of a channel does."""
    taken = fleet._store.run(outbox.take(keys, "g"))
    fleet._store.run(outbox.renew(keys, "g", tuple(entry.id for entry in taken.entries)))
    for entry in taken.entries:
        fleet._store.run(outbox.acknowledge(keys, "g", entry))


@pytest.fixture
def store(any_server, run, name, prefix):
    if any_server.flavour == "external":
        pytest.skip("its users are not ours to make")
    store = Store(any_server, run, name, prefix)
    yield store
    store.admin.acl_deluser(*(one for one in store.admin.acl_users() if one.startswith(name)))
    store.admin.close()


def test_the_printed_rule_is_enough(store):
    user, url, prefix = store.user(0)
    with store.work(url, prefix, contextlib.nullcontext) as (worker, other):
        assert worker.events()[-1].event == "settings"
        assert worker.status().push_lost == ""
        eventually(lambda: worker.staleness is not None)
        connections = store.admin.client_list()
        named = {one["name"] for one in connections if one.get("user") == user}
        assert named == {"breaker-commands", "breaker-push"}
        channel = f"{prefix}:{{images}}:*"
        assert store.admin.pubsub_channels(channel)
        other.close()
        eventually(lambda: not store.admin.pubsub_channels(channel))
    assert store.refused(user) == set()


@pytest.mark.integration
def test_no_part_of_the_printed_rule_can_be_taken_away(store):
    store.admin.script_flush()  # else no script is sent as text

    def refused_without(numbered):
        number, grant = numbered
        user, url, prefix = store.user(number, lacking=grant)
        failures = lambda: contextlib.suppress(BreakerError)  # noqa: E731 - a kind of block
        with store.work(url, prefix, failures) as (worker, other):
            if "unsubscribe" in grant:  # which only a subscription that works sends
                eventually(lambda: worker.staleness is not None)
            other.close()
            return grant, eventually(lambda: store.refused(user))

    grants = sorted(enumerate(store.grants), key=lambda one: one[1] != "+eval")
    with ThreadPoolExecutor(8) as pool:
        found = [refused_without(grants[0]), *pool.map(refused_without, grants[1:])]
    for grant, refused in found:
        assert {kind for kind, _ in refused} == {KINDS[grant[0]]}, grant
        if grant[0] == "+":
            names = {what.partition("|")[0] for _, what in refused}
            assert names == {grant[1:].partition("|")[0]}


def test_every_command_that_is_sent_is_in_the_rule():
    folder = Path(package.__file__).parent
    sent = {
        command
        for path in folder.rglob("*.py")
        for command in re.findall(r'\bSend\(\s*\(\s*"([A-Z]+)"', path.read_text())
    }
    assert sent
    assert sent <= set(commands())
