"""Find the Lua scripts, splice their includes, read their headers.

A script's header is its signature: `call()` arguments are put in order by it, so a caller and a
script that disagree fail at once.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

_INCLUDE = re.compile(r"^-- @include (\w+)$")
_HEADER = re.compile(r"^-- (KEYS|ARGV) +(.*)$", re.MULTILINE)
_PURPOSE = re.compile(r"^-- (\w+): (.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Script:
    """One script, ready to send.

    Attributes:
        name: its file's name.
        body: the text with its includes.
        sha: what EVALSHA calls it by.
        keys: the names of its KEYS, in order.
        args: the names of its ARGV, in order.
    """

    name: str
    body: str
    sha: str
    keys: tuple[str, ...]
    args: tuple[str, ...]


def lua_folder() -> Traversable:
    """Find `lua/`: in the installed package, or beside it in a checkout."""
    packaged = files("breaker") / "lua"
    if packaged.is_dir():
        return packaged
    checkout = Path(__file__).parents[2]
    if (checkout / "pyproject.toml").is_file() and (checkout / "lua").is_dir():
        return checkout / "lua"
    message = (
        "the Lua scripts are missing from this installation of fleet-breaker: install it again"
    )
    raise FileNotFoundError(message)


def script_names() -> list[str]:
    """The names of the scripts, in order."""
    entries = (entry.name for entry in lua_folder().iterdir())
    return sorted(name.removesuffix(".lua") for name in entries if name.endswith(".lua"))


def splice(
    name: str, overrides: Mapping[str, str] | None = None, folder: Traversable | None = None
) -> str:
    """Return a script's text with its includes, each of them once, before its first use.

    Args:
        name: the script.
        overrides: text that stands in for an include, by name (tests put their own clock there).
        folder: where the scripts are.

    Raises:
        ValueError: an include that is missing or includes itself.
    """
    root = folder or lua_folder()
    done: set[str] = set()

    def expand(text: str, path: tuple[str, ...]) -> str:
        return "\n".join(expanded(line, path) for line in text.splitlines())

    def expanded(line: str, path: tuple[str, ...]) -> str:
        match = _INCLUDE.match(line)
        if not match:
            return line
        wanted = match[1]
        if wanted in path:
            message = f"lua/{name}.lua: include cycle {' > '.join((*path, wanted))}"
            raise ValueError(message)
        if wanted in done:
            return ""
        text = (overrides or {}).get(wanted) or _read(root / "include" / f"{wanted}.lua", name)
        spliced = expand(text, (*path, wanted))
        done.add(wanted)
        return spliced

    return expand(_read(root / f"{name}.lua", name), ()) + "\n"


def _read(file: Traversable, script: str) -> str:
    if not file.is_file():
        message = f"lua/{script}.lua: there is no {file.name}"
        raise ValueError(message)
    return file.read_text(encoding="utf-8")


def build(name: str, overrides: Mapping[str, str] | None = None) -> Script:
    """Splice a script and read its header."""
    body = splice(name, overrides)
    purpose = _PURPOSE.match(body)
    header = {kind: tuple(words.split()) for kind, words in _HEADER.findall(body)}
    if not purpose or purpose[1] != name or set(header) != {"KEYS", "ARGV"}:
        message = f"lua/{name}.lua: its header must open with '-- {name}: ', then KEYS and ARGV"
        raise ValueError(message)
    sha = hashlib.sha1(body.encode(), usedforsecurity=False).hexdigest()
    return Script(name, body, sha, header["KEYS"], header["ARGV"])


@cache
def script(name: str) -> Script:
    """The script of that name, read once per process."""
    return build(name)


def render(folder: Path) -> None:
    """Write every script as the store sees it, for linters and ports to other languages."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in script_names():
        (folder / f"{name}.lua").write_text(build(name).body, encoding="utf-8")
