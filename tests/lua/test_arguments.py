"""What a worker in another language may send: a fact is never lost for its details."""

import pytest
import redis

from breaker.settings import Settings
from tests.model.lua_breaker import LuaBreaker

NOW = 1_700_000_000_000
SETTINGS = Settings.resolve({"threshold": 3}, {}).to_wire()


def ask(lua, verb, token, seen="", **args):
    given = {"token": token, "who": "w", "settings": SETTINGS, **args}
    return lua.ask(verb, NOW, seen=seen or token, **given)


@pytest.mark.parametrize("hint", ["", "nan", "inf", "-5", "1e400", "soon"])
def test_an_error_counts_whatever_its_hint_is(client, name, hint):
    lua = LuaBreaker(client, name)
    reply = ask(lua, "rate_limit_error", "a", error_id="a", retry_after_ms=hint, successes=hint)
    assert (reply["counted"], reply["count"]) == (True, 1)


def test_an_empty_error_id_is_no_id(client, name):
    lua = LuaBreaker(client, name)
    script_key = {"error_id": "", "retry_after_ms": 0}
    for number in range(3):
        reply = lua.ask_once(
            "rate_limit_error",
            NOW,
            "",
            token=f"{number}",
            who="w",
            declares=SETTINGS,
            **script_key,
        )
    assert reply["tripped"]


@pytest.mark.parametrize("ms", ["-5", "nan", "soon", ""])
def test_a_pause_of_no_length_is_refused(client, name, ms):
    lua = LuaBreaker(client, name)
    with pytest.raises(redis.ResponseError, match="BADARGUMENT pause_ms"):
        ask(lua, "pause", "a", reason="", pause_ms=ms)


@pytest.mark.parametrize("ms", ["0", "nan", "1e400", ""])
def test_headers_that_say_nothing_leave_the_pace_whole(client, name, ms):
    lua = LuaBreaker(client, name)
    reply = ask(lua, "observe", "a", left="1", limit="10", resets_in_ms=ms, refill="nan")
    assert not reply["changed"]
    assert ask(lua, "acquire", "b", share="nan")["granted"]


def test_a_state_without_idle_ttl_stays(client, name):
    lua = LuaBreaker(client, name)
    ask(lua, "rate_limit_error", "a", error_id="a", retry_after_ms=0)
    state = lua.keys["state"]
    client.hset(state, "idle_ttl_ms", 0)
    assert ask(lua, "snapshot", "b")["exists"]
    assert client.exists(state)
