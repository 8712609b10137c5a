"""Views fed by a push that loses, delays, repeats and reorders messages: what must hold."""

import json
import uuid

import pytest
import redis
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

from breaker.push.view import CALM, View
from breaker.settings import Settings
from tests.model.lua_breaker import LuaBreaker

START = 1_700_000_000_000
PROCESSES = 3
SETTINGS = Settings.resolve(
    {"threshold": 3, "cooldown": 4, "max_cooldown": 30, "forget_after": 60, "probe_lease": 5},
    {},
).to_wire()
PROCESS = st.integers(0, PROCESSES - 1)


class Pushes(RuleBasedStateMachine):
    """Several processes with a view each; only a proof makes a view trusted again after a loss.

    A connection that is lost is followed by distrust, as the pump does it; delay, repetition and
    reordering are not. A message that is lost on a connection that is well was not published.
    """

    client: redis.Redis

    @initialize()
    def start(self):
        self.lua = LuaBreaker(self.client, uuid.uuid4().hex)
        self.listener = self.client.pubsub()
        self.listener.subscribe(self.lua.keys.channel(0))
        while self.listener.get_message(timeout=1) is None:
            pass
        self.now = START
        self.serial = 0
        self.tripped: dict[tuple[str, int], int] = {}
        self.views = [View() for _ in range(PROCESSES)]
        self.inboxes: list[list[dict]] = [[] for _ in range(PROCESSES)]
        for view in self.views:
            self.introduce(view)
            view.learn(self.ask("snapshot"), self.seconds(), is_proof=True)

    def seconds(self):
        return self.now / 1000

    def ask(self, verb, **args):
        self.serial += 1
        token = f"{self.serial:032x}"
        reply = self.lua.ask(
            verb, self.now, seen=token, token=token, who="w", settings=SETTINGS, **args
        )
        for step in reply.get("transitions", []):
            if step["event"] == "tripped":
                at = (step["incarnation"], step["epoch"])
                self.tripped[at] = self.tripped.get(at, 0) + 1
                assert self.tripped[at] == 1
        for told in self.published():
            for inbox in self.inboxes:
                inbox.append(told)
        return reply

    def published(self):
        """All that was published up to now, however long it takes to arrive."""
        self.client.publish(self.lua.keys.channel(0), '"that is all"')
        while True:
            got = self.listener.get_message(timeout=5)
            told = json.loads(got["data"])
            if told == "that is all":
                return
            yield told

    def introduce(self, view):
        reply = self.ask("acquire")
        view.introduce(reply["incarnation"])
        view.learn(reply, self.seconds())

    def check(self, process):
        """With all it was sent taken in, a view knows of every pause; and none of what is over."""
        view = self.views[process]
        if self.inboxes[process] or not view.is_proven:
            return
        truth = self.ask("snapshot")
        self.deliver(process)
        if truth["paused"]:
            assert not view.runs
            assert view.grant is None
            assert not view.is_quiet
        if view.is_quiet and truth["state"] == "closed":
            assert truth["count"] == 0

    def deliver(self, process):
        """All arrives that was published, and what the view then asks for."""
        inbox, needs_proof = self.inboxes[process], False
        while inbox:
            needs_proof |= self.take(process, inbox.pop(0))
        if needs_proof:
            self.prove(process)

    def prove(self, process):
        """Read the whole state; it comes after all that was published before it."""
        self.deliver(process)
        view = self.views[process]
        version = view.last["version"]
        reply = self.ask("snapshot")
        view.learn(reply, self.seconds(), is_proof=True, version=version)

    def take(self, process, told):
        view = self.views[process]
        epoch, was_open = view.last.get("epoch", 0), not view.runs
        needs_proof = view.hear(told, self.seconds())
        if was_open and view.runs and told["incarnation"] == view.last["incarnation"]:
            assert told["epoch"] >= epoch
        return needs_proof

    @rule(process=PROCESS, retry_after=st.sampled_from([0, 0, 2_000, 9_000]))
    def error(self, process, retry_after):
        view = self.views[process]
        reply = self.ask(
            "rate_limit_error",
            error_id=f"e{self.serial}",
            permit_epoch=view.grant.epoch if view.grant else "",
            retry_after_ms=retry_after,
        )
        view.learn(reply, self.seconds())
        assert not (reply["paused"] and view.grant)

    @rule(process=PROCESS)
    def job_goes_through(self, process):
        view = self.views[process]
        grant = view.grant
        if grant is None:
            reply = self.ask("acquire")
            view.learn(reply, self.seconds())
            if not reply["granted"]:
                return
            epoch, run = reply["epoch"], reply["run"]
        else:
            epoch, run = grant.epoch, grant.run
        if view.is_quiet:
            return
        view.learn(self.ask("success", permit_epoch=epoch, permit_run=run), self.seconds())

    @rule(verb=st.sampled_from(["resume", "reset", "disable", "enable"]))
    def order(self, verb):
        self.ask(verb, reason="")

    @rule(ms=st.sampled_from([0, 3_000]))
    def pause(self, ms):
        self.ask("pause", reason="", pause_ms=ms)

    @rule(process=PROCESS)
    def all_arrives(self, process):
        self.deliver(process)
        self.check(process)

    @rule(process=PROCESS, data=st.data())
    def some_arrive_in_any_order(self, process, data):
        inbox = self.inboxes[process]
        if inbox:
            told = inbox[data.draw(st.integers(0, len(inbox) - 1))]
            if self.take(process, told):
                self.prove(process)

    @rule(process=PROCESS)
    def connection_lost_and_made_again(self, process):
        view = self.views[process]
        self.inboxes[process].clear()
        view.distrust()
        assert view.grant is None
        assert not view.is_quiet
        view.learn(self.ask("snapshot"), self.seconds(), is_proof=True)
        self.inboxes[process].clear()
        self.check(process)

    @rule(process=PROCESS)
    def publishing_fails_and_a_heartbeat_comes(self, process):
        """The connection is well all the time, but what was published does not arrive."""
        view, was_lost = self.views[process], bool(self.inboxes[process])
        self.inboxes[process].clear()
        key = self.lua.keys["state"]
        incarnation, news = self.client.hmget(key, "incarnation", "news")
        if view.check_last(incarnation, int(news or 0)):
            self.prove(process)
        if was_lost and view.is_proven:
            assert view.last.get("incarnation") == incarnation
            assert view.last["news"] == int(news or 0)
        self.check(process)

    @rule()
    def everything_is_lost(self):
        for key in self.client.keys(f"breaker:{{{self.lua.keys.name}}}:*"):
            self.client.delete(key)
        self.tripped.clear()

    @rule(ms=st.sampled_from([1, 500, 1_100, 4_100, 31_000]))
    def time_passes(self, ms):
        self.now += ms
        for process, view in enumerate(self.views):
            self.deliver(process)
            if view.wants_proof(self.seconds()):
                self.prove(process)

    @rule()
    def calm_comes_back(self):
        """When no more errors come, jobs cost no command again."""
        self.ask("reset", reason="")
        for process, view in enumerate(self.views):
            self.deliver(process)
            self.introduce(view)
        for _ in range(3):
            self.now += int(CALM * 1000) + 1
            for process, view in enumerate(self.views):
                self.deliver(process)
                if view.wants_proof(self.seconds()):
                    self.prove(process)
        assert all(view.is_quiet for view in self.views)

    def teardown(self):
        if hasattr(self, "listener"):
            self.listener.close()


@pytest.mark.timeout(300)
def test_views_stay_true_whatever_becomes_of_messages(client):
    Pushes.client = client
    run_state_machine_as_test(
        Pushes, settings=settings(max_examples=60, stateful_step_count=30, deadline=None)
    )
