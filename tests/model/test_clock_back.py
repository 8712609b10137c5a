"""The store's clock goes back: nothing lasts longer than it was set for."""

from breaker.settings import Settings
from tests.model.lua_breaker import LuaBreaker

NOW = 1_700_000_000_000
SETTINGS = Settings.resolve({"threshold": 1, "cooldown": 5}, {}).to_wire()


def ask(lua, verb, now, token, **args):
    return lua.ask(verb, now, seen=token, token=token, who="w", settings=SETTINGS, **args)


def tripped(client, name):
    lua = LuaBreaker(client, name)
    ask(lua, "rate_limit_error", NOW, "e", error_id="e", retry_after_ms=0)
    return lua


def test_a_pause_does_not_begin_anew(client, name):
    lua = tripped(client, name)
    assert lua.ask("snapshot", NOW + 4000, token="a", who="w")["resumes_in_ms"] == 1000
    assert lua.ask("snapshot", NOW - 100_000, token="b", who="w")["resumes_in_ms"] == 1000
    assert lua.ask("snapshot", NOW - 99_000, token="c", who="w")["state"] == "half-open"


def test_a_pause_that_was_not_looked_at_lasts_at_most_its_length(client, name):
    lua = tripped(client, name)
    assert lua.ask("snapshot", NOW - 3_600_000, token="a", who="w")["resumes_in_ms"] == 5000


def test_an_operators_pause_does_not_begin_anew(client, name):
    lua = LuaBreaker(client, name)
    ask(lua, "pause", NOW, "p", reason="", pause_ms=60_000)
    lua.ask("snapshot", NOW + 50_000, token="a", who="w")
    view = lua.ask("snapshot", NOW + 1, token="b", who="w")
    assert (view["resumes_in_ms"], view["order_left_ms"]) == (10_000, 10_000)


def test_a_probes_lease_does_not_begin_anew(client, name):
    lua = LuaBreaker(client, name)
    settings = Settings.resolve(
        {"threshold": 1, "cooldown": 5, "recovery": "probe", "probe_lease": 30}, {}
    ).to_wire()
    given = {"who": "w", "settings": settings}
    lua.ask("rate_limit_error", NOW, "e", token="e", error_id="e", retry_after_ms=0, **given)
    assert lua.ask("acquire", NOW + 5000, token="p", **given)["granted"]
    refused = lua.ask("acquire", NOW - 100_000, token="q", **given)
    assert (refused["granted"], refused["wait_ms"]) == (False, 30_000)


def test_the_pace_does_not_stand_still(client, name):
    lua = tripped(client, name)
    first = ask(lua, "acquire", NOW + 5001, "p")
    assert first["granted"]
    ask(lua, "success", NOW + 5100, "s", permit_epoch=first["epoch"], permit_run=first["run"])
    granted = [
        ask(lua, "acquire", NOW - 100_000 + 1000 * second, f"a{second}", patience_ms=0)
        for second in range(1, 6)
    ]
    assert any(reply["granted"] for reply in granted)


def test_paused_time_is_counted_once(client, name):
    lua = tripped(client, name)
    lua.ask("snapshot", NOW + 4000, token="a", who="w")
    lua.ask("snapshot", NOW - 100_000, token="b", who="w")
    over = lua.ask("snapshot", NOW - 98_000, token="c", who="w")
    assert over["paused_ms"] == 5000


def test_a_long_operators_pause_does_not_end_the_recovery_under_it(client, name):
    lua = tripped(client, name)
    first = ask(lua, "acquire", NOW + 5001, "p")
    ask(lua, "success", NOW + 5100, "s", permit_epoch=first["epoch"], permit_run=first["run"])
    ask(lua, "pause", NOW + 6000, "o", reason="", pause_ms=700_000)
    assert ask(lua, "acquire", NOW + 706_001, "q")["state"] == "half-open"
    assert ask(lua, "acquire", NOW + 706_100, "r")["state"] == "half-open"
