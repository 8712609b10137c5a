"""The ACL rule for a user of the store that may do what breakers need, and no more."""

import re
from dataclasses import dataclass

from breaker.cli.doctor.permissions import commands, user_of
from breaker.protocol.keys import registry
from breaker.store.target import Target

# The user's name if the URL has none.
USER = "breaker"
_GLOB = re.compile(r"([\\*?\[\]])")
_BARE = re.compile(r"[^\s\"'\\]+")


@dataclass(frozen=True, slots=True)
class Rules:
    """What a user may do.

    Attributes:
        user: its name.
        keys: patterns of keys.
        channels: patterns of channels.
        commands: names of commands.
    """

    user: str
    keys: tuple[str, ...]
    channels: tuple[str, ...]
    commands: tuple[str, ...]

    def grants(self) -> tuple[str, ...]:
        """Each right as ACL SETUSER takes it."""
        return (
            *(f"~{key}" for key in self.keys),
            *(f"&{channel}" for channel in self.channels),
            *(f"+{one}" for one in self.commands),
        )

    def line(self, password: str = "PASSWORD") -> str:  # noqa: S107 - to be replaced by a reader
        """The whole command. It takes all other rights from the user, and sets its password."""
        words = (self.user, "reset", "resetchannels", "on", f">{password}", *self.grants())
        return " ".join(["ACL SETUSER", *map(_quoted, words)])


def rules_for(target: Target, prefix: str) -> Rules:
    """The rights that the whole library needs in this store: workers, operators, the service."""
    plain = _GLOB.sub(r"\\\1", prefix)
    needed = [one for one in commands() if one != "SELECT" or target.database]
    return Rules(
        user=user_of(target) or USER,
        keys=(f"{plain}:*", registry(plain)),
        channels=(f"{plain}:*",),
        commands=("client|setname", *(one.lower() for one in needed)),
    )


def _quoted(word: str) -> str:
    """As redis-cli reads it at its prompt."""
    if _BARE.fullmatch(word):
        return word
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
