"""A mild excess: errors that are never `threshold` in a row, and yet too many."""

import pytest

from breaker.settings import Settings
from tests.model.lua_breaker import LuaBreaker

NOW = 1_700_000_000_000


class Fleet:
    """Reports to one breaker, on a clock that the test moves."""

    def __init__(self, client, name, **options):
        self.lua = LuaBreaker(client, name)
        self.settings = Settings.resolve(options, {}).to_wire()
        self.now = NOW
        self._serial = 0

    def ask(self, verb, **args):
        self._serial += 1
        token = f"{self._serial:032x}"
        given = {"token": token, "who": "w", "settings": self.settings, **args}
        return self.lua.ask(verb, self.now, seen=token, **given)

    def error(self, successes, **args):
        given = {"error_id": "e", "retry_after_ms": 0, "permit_epoch": 0, **args}
        given |= {"successes": successes}
        return self.ask("rate_limit_error", **given)

    def success(self):
        return self.ask("success", successes=1)

    def round(self, successes):
        """A number of successes, and an error that ends no run of them."""
        self.success()
        return self.error(successes - 1)

    def events(self):
        return [step["event"] for step in self.lua.history()]


def test_a_share_of_errors_begins_a_pace_without_a_trip(client, name):
    fleet = Fleet(client, name)
    replies = [fleet.error(4), *(fleet.round(4) for _ in range(4))]
    assert [reply["state"] for reply in replies] == ["closed"] * 4 + ["half-open"]
    last = replies[-1]
    assert (last["tripped"], last["paused"], last["trips"], last["count"]) == (
        False,
        False,
        0,
        0,
    )
    assert (last["epoch"], last["asks"]) == (1, 1)
    assert fleet.events() == ["paced"]
    assert last["reason"] == "5 of the last 25 results were rate limit errors"


def test_errors_that_were_in_flight_do_not_cut(client, name):
    fleet = Fleet(client, name)
    for _ in range(5):
        last = fleet.round(4)
    late = fleet.error(0, permit_epoch=0, permit_incarnation=last["incarnation"])
    assert (late["counted"], fleet.events()) == (False, ["paced"])


@pytest.mark.parametrize(
    ("options", "successes", "seconds"),
    [
        pytest.param({"pace_from": 0}, 4, 0, id="off"),
        pytest.param({"mode": "shadow"}, 4, 0, id="shadow"),
        pytest.param({"recovery": "probe"}, 4, 0, id="another-recovery"),
        pytest.param({}, 10, 0, id="a-smaller-share"),
        pytest.param({"threshold": 1000}, 4, 0, id="fewer-errors-than-threshold"),
        pytest.param({"pace_from": 0.3}, 4, 0, id="another-share"),
        pytest.param({}, 4, 4, id="fewer-than-20-in-10-seconds"),
    ],
)
def test_nothing_begins(client, name, options, successes, seconds):
    fleet = Fleet(client, name, **options)
    for _ in range(30):
        assert fleet.round(successes)["state"] == "closed"
        fleet.now += 1000 * seconds
    assert "paced" not in fleet.events()


def test_five_in_a_row_still_trip(client, name):
    fleet = Fleet(client, name)
    fleet.round(10)
    assert [fleet.error(0)["tripped"] for _ in range(4)] == [False, False, False, True]


def test_a_share_of_many_results_is_not_diluted_by_older_ones(client, name):
    fleet = Fleet(client, name)
    fleet.round(900)
    fleet.now += 3000
    states = [fleet.round(9)["state"] for _ in range(6)]
    assert states == ["closed"] * 5 + ["half-open"]


def test_the_pace_is_what_the_processes_say_that_they_delivered(client, name):
    fleet = Fleet(client, name)
    for _ in range(5):
        fleet.round(4)
    for _ in range(2):
        reply = fleet.ask("acquire", share="40")
    assert reply["granted"]
    assert 70 < reply["pace"] <= 80


def test_an_outage_that_begins_with_a_pace_still_trips(client, name):
    """There was no trip yet, so none was told of: five in a row are one."""
    fleet = Fleet(client, name)
    for _ in range(5):
        last = fleet.round(4)
    assert last["state"] == "half-open"
    tripped = []
    for _ in range(5):
        fleet.now += 20_000
        permit = fleet.ask("acquire", patience_ms=60_000)
        given = {"permit_epoch": permit["epoch"], "permit_incarnation": permit["incarnation"]}
        tripped.append(fleet.error(0, **given)["tripped"])
    assert tripped == [False, False, False, False, True]


def test_errors_in_a_row_begin_no_pace(client, name):
    fleet = Fleet(client, name, threshold=30)
    fleet.success()
    states = {fleet.error(3)["state"] for _ in range(29)}
    assert states == {"closed"}
