"""One breaker twice: as the Lua has it, and as the readable rules do."""

from typing import Any

import redis
from hypothesis.stateful import RuleBasedStateMachine

from breaker.machine import Machine
from breaker.settings import Settings
from breaker.transitions import is_allowed
from tests.model.lua_breaker import LuaBreaker, comparable


def declaration(**options: Any) -> str:
    return Settings.resolve(options, {}).to_wire()


# What a caller without a permit says.
UNSAID = {
    "rate_limit_error": {"permit_incarnation": "", "kind": "rate_limit", "successes": ""},
    "success": {"permit_incarnation": "", "successes": ""},
}


class Twins(RuleBasedStateMachine):
    """Every rule asks the Lua and the machine the same and compares the replies whole."""

    client: redis.Redis
    lua: LuaBreaker
    machine: Machine
    settings: str
    now: int
    serial: int
    replies: list[dict[str, Any]]

    def both(
        self,
        verb: str,
        who: str,
        token: str = "",
        seen: str = "",
        declares: str = "",
        **args: Any,
    ) -> dict[str, Any]:
        token = token or self.fresh()
        args = {**UNSAID.get(verb, {}), **args}
        by_lua = self.lua.ask_once(
            verb, self.now, seen or token, token=token, who=who, declares=declares, **args
        )
        given = {"token": token, "who": who, "declares": declares, **args}
        by_rules = self.machine.answer(verb, self.now, given)
        if by_lua == by_rules == {"wanted": "settings"}:
            return self.both(verb, who, token, seen, self.settings, **args)
        assert comparable(by_lua) == comparable(by_rules)
        for step in by_lua.get("transitions", []):
            assert is_allowed(step["event"], step["from"], step["to"]), step
        if by_lua not in self.replies:
            self.replies.append(by_lua)
            self.check(by_lua)
        return by_lua

    def fresh(self) -> str:
        self.serial += 1
        return f"{self.serial:032x}"

    def check(self, reply: dict[str, Any]) -> None:
        """What holds whatever the machine says."""
