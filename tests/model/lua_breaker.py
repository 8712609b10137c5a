"""The Lua scripts on a real store, on a clock that the tests move by hand."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import redis

from breaker.protocol.keys import Keys
from breaker.protocol.scripts import Script, build

CLOCK = (Path(__file__).parent / "clock.lua").read_text()


@cache
def on_test_clock(name: str) -> Script:
    return build(name, {"clock": CLOCK})


class LuaBreaker:
    """Speaks the protocol as another language would: scripts, keys and arguments by header."""

    def __init__(self, client: redis.Redis, name: str) -> None:
        self.client = client
        self.keys = Keys("breaker", name)

    def ask(
        self, verb: str, now: int, seen: str = "", settings: str = "", **args: Any
    ) -> dict[str, Any]:
        """Ask a script; when it wants settings, ask again with them."""
        reply = self.ask_once(verb, now, seen, **args)
        if "wanted" in reply and settings:
            reply = self.ask_once(verb, now, seen, **{**args, "declares": settings})
        return reply

    def ask_once(self, verb: str, now: int, seen: str, **args: Any) -> dict[str, Any]:
        script = on_test_clock(verb)
        self.client.set("test:now", now)
        keys = [
            self.keys.seen(seen) if key == "seen" else self.keys[key] for key in script.keys
        ]
        given = {"channel": self.keys.channel(0), "declares": "", "kind": "rate_limit"}
        given |= {"permit_incarnation": "", "permit_epoch": "", "permit_run": ""}
        given |= {
            "patience_ms": 60_000,
            "in_turn": "",
            "share": "",
            "refill": "",
            "successes": "",
            **args,
        }
        answer = self.client.eval(
            script.body, len(keys), *keys, *(given[arg] for arg in script.args)
        )
        return json.loads(answer)

    def history(self) -> list[Any]:
        return [fields for _, fields in self.client.xrange(self.keys["events"])]


def comparable(reply: dict[str, Any]) -> dict[str, Any]:
    """A reply without what JSON and Lua write differently: empty values, JSON inside JSON."""
    plain = {
        key: value for key, value in reply.items() if key not in ("listeners", "push_lost")
    }
    for field in ("overrides", "evidence", "settings", "rival"):
        if isinstance(plain.get(field), str):
            plain[field] = json.loads(plain[field])
    if "transitions" in plain:
        plain["transitions"] = [comparable(step) for step in plain["transitions"]]
    return {key: value for key, value in plain.items() if value not in ("", {}, [], None)}
