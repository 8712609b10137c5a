"""The pages of the documentation, and the Python blocks on them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "lua/README.md"]
# Listed by the index in their own folder.
INTEGRATIONS = sorted((ROOT / "docs/integrations").glob("*.md"))
# A block, and the hidden comment before it with what the page's reader has at hand.
BLOCK = re.compile(
    r"(?:^<!-- setup\n(?P<setup>.*?)^-->\n+)?^```python\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
STORE = "redis://localhost:6379/0"
UPSTREAM = "https://api.example.com/"
NAME = '"content"'


@dataclass(frozen=True)
class Block:
    """One block as a reader pastes it; `setup` runs before it."""

    page: str
    line: int
    code: str
    setup: str

    def program(self, *, store: str, upstream: str, name: str) -> str:
        """The block, pointed at servers and a breaker of a test."""
        code = f"{self.setup}\n{self.code}"
        for written, meant in ((STORE, store), (UPSTREAM, upstream), (NAME, f'"{name}"')):
            code = code.replace(written, meant)
        return code


def blocks() -> Iterator[Block]:
    for page in [*PAGES, *INTEGRATIONS]:
        text = page.read_text(encoding="utf-8")
        for found in BLOCK.finditer(text):
            line = text.count("\n", 0, found.start("code")) + 1
            shown = str(page.relative_to(ROOT))
            yield Block(shown, line, found["code"], found["setup"] or "")
