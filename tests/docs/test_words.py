"""Plain English: words that leave open who acts, how many, or what is wrong, are not used."""

import re

from tests.docs.pages import ROOT

AVOIDED = re.compile(
    r"\b((?i:whoever|nobody|somebody|anybody|so many|so long)|is none|goes by|is told)\b"
)
TOP = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "Makefile", "Dockerfile"]
FILES = sorted(
    path
    for place in ("breaker", "lua", "docs", *TOP)
    for path in ([ROOT / place] if place in TOP else (ROOT / place).rglob("*"))
    if path.is_file() and path.suffix in {"", ".py", ".lua", ".md"}
)
# Files and folders that are still to be rewritten. This list only shrinks.
TO_DO: tuple[str, ...] = ()


def test_the_actor_and_the_number_are_named() -> None:
    found = [
        f"{name}:{number}: {line.strip()}"
        for path in FILES
        if not (name := str(path.relative_to(ROOT))).startswith(TO_DO)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if AVOIDED.search(line)
    ]
    assert not found, "\n".join(found)
