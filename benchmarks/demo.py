"""Run the demo and draw its last moment as the README's picture: `python -m benchmarks.demo`."""

import sys
from pathlib import Path

from rich.console import Console

from breaker.demo.director import direct
from breaker.demo.live import LiveView
from breaker.demo.picture import Picture
from breaker.demo.plan import Plan
from breaker.embedded import EmbeddedStore

PICTURE = Path("docs/demo.svg")
PLAN = Plan(workers=4, rate=48, duration=60, threshold=5)
# Columns and lines of the terminal that is drawn.
SIZE = (108, 28)
# Rich's frame around the terminal, without the font that it would load from another site.
FRAME = """<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: Menlo, Consolas, "DejaVu Sans Mono", monospace;
    font-size: {char_height}px; line-height: {line_height}px; }}
{styles}
</style>
<defs><clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" /></clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g></g></svg>
"""


class Camera(LiveView):
    """The live view on a terminal that keeps what it draws instead of showing it."""

    def __init__(self, plan: Plan, console: Console) -> None:
        super().__init__(plan, console)
        self.latest: Picture | None = None

    def show(self, picture: Picture) -> None:
        """Keep the picture; the course so far is kept by the view."""
        self._course[picture.phase] = picture.seconds
        self.latest = picture

    def draw(self, path: Path) -> None:
        """Write the latest picture."""
        if self.latest is None:
            message = "the demo ended before its first picture"
            raise RuntimeError(message)
        self._console.print(self._screen(self.latest), height=SIZE[1])
        path.write_text(self._console.export_svg(title="make demo", code_format=FRAME))


def main() -> int:
    """Run the demo for a minute and write the picture."""
    width, height = SIZE
    with Path("/dev/null").open("w") as nowhere, EmbeddedStore() as store:
        console = Console(
            file=nowhere, record=True, force_terminal=True, width=width, height=height
        )
        camera = Camera(PLAN, console)
        direct(PLAN, store.url.removesuffix("/0"), camera)
        camera.draw(PICTURE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
