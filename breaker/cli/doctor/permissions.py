"""The rights that the store's user needs, and those that an error says are missing."""

import re

from breaker.protocol.keys import registry
from breaker.protocol.scripts import Script, script, script_names
from breaker.store.target import Target

# Commands sent outside of scripts, by the library or by doctor itself.
PLAIN = [
    "EVALSHA",
    "EVAL",
    "EXISTS",
    "HMGET",
    "PING",
    "SADD",
    "SELECT",
    "SMEMBERS",
    "SREM",
    "SUBSCRIBE",
    "UNSUBSCRIBE",
    "XACK",
    "XINFO",
    "XRANGE",
    "XREVRANGE",
]

# Commands that breakers can do without, and what they are for.
OPTIONAL = {
    "HMGET": "push",
    "PING": "push",
    "PUBLISH": "push",
    "SUBSCRIBE": "push",
    "UNSUBSCRIBE": "push",
    "XACK": "alerts",
    "XADD": "history",
    "XCLAIM": "alerts",
    "XGROUP": "alerts",
    "XINFO": "alerts",
    "XPENDING": "alerts",
    "XRANGE": "history",
    "XREADGROUP": "alerts",
    "XREVRANGE": "history",
}
# What happens without them.
WITHOUT = {
    "push": "only push needs it, without it workers ask the store for each job",
    "alerts": "only alerts need it, without it a trip is logged by the process that reported it alone",
    "history": "only the history needs it, without it `breaker events` lacks entries",
}

_CALL = re.compile(r"redis\.p?call\('(\w+)'")
_LINE = re.compile(r"user_script:\s*(\d+)")
_NAMED = re.compile(r"permissions to run the '(\w+)(?:\|\w+)?'")
_COMMAND = re.compile(r"permissions to run|can't run this command")
_KEY = re.compile(r"\baccess\b.*\bkeys?\b")
_CHANNEL = re.compile(r"\b(access|publish)\b.*\bchannels?\b")


def user_of(target: Target) -> str:
    """The user that the URL names; empty if it names none."""
    return str(dict(target.data).get("username") or "")


def commands() -> list[str]:
    """All commands that a user of the store needs."""
    inside = {call for name in script_names() for call in _CALL.findall(script(name).body)}
    return sorted({*PLAIN, *(call.upper() for call in inside)})


def refuses_command(error: str) -> bool:
    """Whether the error is about a command that is not allowed."""
    return bool(_COMMAND.search(error))


def refused_command(error: str, sent: Script | None) -> str:
    """The command that is not allowed; empty if the error is about something else.

    Older servers do not name the command, only its line in the script.
    """
    if named := _NAMED.search(error):
        return named[1].upper()
    line = _LINE.search(error)
    if sent and line and refuses_command(error):
        call = _CALL.search(sent.body.splitlines()[int(line[1]) - 1])
        return call[1].upper() if call else ""
    return ""


def remedy(error: str, user: str, prefix: str) -> str:
    """The ACL rule that grants the missing right; empty for another error.

    It grants only what is missing: adding a key pattern to "all keys" is an error itself.
    """
    rules: list[str] = []
    if _KEY.search(error):
        rules += [f"~{prefix}:*", f"~{registry(prefix)}"]
    if _CHANNEL.search(error):
        rules.append(f"&{prefix}:*")
    if refuses_command(error):
        rules += [f"+{command.lower()}" for command in commands()]
    if "unknown command" in error:
        return "this server lacks a command: Redis 6.2 or newer, or Valkey, has all of them"
    return " ".join(["ACL SETUSER", user, *rules]) if rules else ""
