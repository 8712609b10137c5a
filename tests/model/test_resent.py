"""A reply may be lost: the same call again gets the same answer."""

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
