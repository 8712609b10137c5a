"""A reply may be lost: the same call again gets the same answer."""

from dataclasses import fields

from breaker.pacing import Pace
from breaker.settings import Settings
from tests.model.lua_breaker import LuaBreaker

NOW = 1_700_000_000_000
SETTINGS = Settings.resolve({"threshold": 1, "cooldown": 1, "recovery": "probe"}, {}).to_wire()


def ask(lua, verb, now, token, **args):
    return lua.ask(verb, now, seen=token, token=token, who="w", settings=SETTINGS, **args)


def half_open(client, name):
    lua = LuaBreaker(client, name)
    error = {"error_id": "e", "permit_epoch": "", "retry_after_ms": 0}
    ask(lua, "rate_limit_error", NOW, "e", **error)
    return lua


def test_a_probes_permit(client, name):
    lua = half_open(client, name)
    granted = ask(lua, "acquire", NOW + 1000, "probe")
    assert granted["probe"]
    assert ask(lua, "acquire", NOW + 1500, "probe")["probe"]
    assert not ask(lua, "acquire", NOW + 1500, "another")["granted"]


def test_an_operators_order(client, name):
    lua = half_open(client, name)
    order = {"reason": "work", "pause_ms": 5000}
    first = ask(lua, "pause", NOW, "order", **order)
    assert ask(lua, "pause", NOW + 100, "order", **order) == first
    assert [event["event"] for event in lua.history()] == ["tripped", "paused"]


def test_a_success(client, name):
    lua = half_open(client, name)
    result = {"permit_epoch": "", "permit_run": ""}
    first = ask(lua, "success", NOW + 1000, "done", **result)
    assert first["changed"]
    assert ask(lua, "success", NOW + 1100, "done", **result) == first


def paced(client, name):
    """A breaker that recovers at a pace; its pause was over a second ago."""
    lua = LuaBreaker(client, name)
    settings = Settings.resolve(
        {"threshold": 1, "cooldown": 1, "forget_after": 600}, {}
    ).to_wire()
    error = {"error_id": "e", "permit_epoch": "", "retry_after_ms": 0}
    lua.ask("rate_limit_error", NOW, seen="e", token="e", who="w", settings=settings, **error)
    return lua


def pace_of(lua):
    text = lua.client.hget(lua.keys["state"], "pace")
    return dict(
        zip([field.name for field in fields(Pace)], map(float, text.split()), strict=True)
    )


def test_a_slot_and_the_rate_that_came_with_it(client, name):
    lua = paced(client, name)
    token = "a" * 32
    first = ask(lua, "acquire", NOW + 2000, token, share="50")
    assert first["granted"]
    assert ask(lua, "acquire", NOW + 2100, token, share="50") == first
    pace = pace_of(lua)
    assert (pace["given"], pace["delivered"]) == (1, 50)
    # The permit's own error comes under the same id, and is one of its own.
    error = {"error_id": token, "permit_epoch": first["epoch"], "retry_after_ms": 0}
    report = lua.ask_once(
        "rate_limit_error", NOW + 2200, token, token="b" * 32, who="w", **error
    )
    assert report["counted"]


def test_a_turn(client, name):
    lua = paced(client, name)
    ask(lua, "acquire", NOW + 2000, "a" * 32, patience_ms=0)
    refused = ask(lua, "acquire", NOW + 2000, "b" * 32, patience_ms=0)
    assert not refused["granted"]
    assert ask(lua, "acquire", NOW + 2100, "b" * 32, patience_ms=0) == refused
    assert pace_of(lua)["turns"] == refused["in_turn"]


def test_a_rate_that_is_reported_while_paused(client, name):
    lua = paced(client, name)
    for _ in range(2):
        assert not ask(lua, "acquire", NOW + 100, "a" * 32, share="50")["granted"]
    assert pace_of(lua)["delivered"] == 50


def test_a_recovery_that_no_job_uses_is_over_for_all_who_read(client, name):
    lua = paced(client, name)
    assert ask(lua, "snapshot", NOW + 2000, "s")["state"] == "half-open"
    assert ask(lua, "snapshot", NOW + 11_999, "s")["state"] == "half-open"
    late = ask(lua, "snapshot", NOW + 12_000, "s")
    assert (late["state"], late["transitions"][0]["event"]) == ("closed", "closed")


def test_a_slot_that_no_job_used_is_given_back_once(client, name):
    lua = paced(client, name)
    token = "a" * 32
    ask(lua, "acquire", NOW + 2000, token)
    back = {"seen": token, "who": "w", "permit_id": token}
    first = lua.ask_once("release", NOW + 2100, token="b" * 32, **back)
    again = lua.ask_once("release", NOW + 2100, token="c" * 32, **back)
    assert (first["changed"], again["changed"]) == (True, False)
    assert pace_of(lua)["given"] == 0
