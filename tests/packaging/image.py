"""The Dockerfile and what an engine would send to it, read as far as the tests need."""

import fnmatch
import json
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

CHECKOUT = Path(__file__).parents[2]


def instructions(name: str) -> list[str]:
    """What follows each instruction of that name."""
    text = (CHECKOUT / "Dockerfile").read_text().replace("\\\n", " ")
    words = [line.partition(" ") for line in text.splitlines()]
    return [rest.strip() for first, _, rest in words if first == name]


def command(rest: str) -> list[str]:
    """An instruction's command in its JSON form."""
    words: list[str] = json.loads(rest[rest.index("[") :])
    return words


def copied() -> Iterator[str]:
    """What the image takes from the checkout."""
    for rest in instructions("COPY"):
        *sources, _ = shlex.split(rest)
        if not sources[0].startswith("--from"):
            yield from sources


def is_ignored(path: PurePosixPath) -> bool:
    """Whether `.dockerignore` keeps a file from the engine: the last rule that fits decides."""
    ignored = False
    for line in (CHECKOUT / ".dockerignore").read_text().splitlines():
        pattern = line.strip()
        if pattern and not pattern.startswith("#"):
            bare = pattern.removeprefix("!")
            if any(_fits(part, bare) for part in (path, *path.parents)):
                ignored = not pattern.startswith("!")
    return ignored


def _fits(path: PurePosixPath, pattern: str) -> bool:
    subject = path.name if pattern.startswith("**/") else str(path)
    return fnmatch.fnmatchcase(subject, pattern.removeprefix("**/"))


def files() -> Iterator[PurePosixPath]:
    """Every file that the COPY lines of the image get."""
    for source in copied():
        place = CHECKOUT / source
        for file in sorted(place.rglob("*")) if place.is_dir() else [place]:
            path = PurePosixPath(file.relative_to(CHECKOUT).as_posix())
            if not is_ignored(path) and not file.is_dir():
                yield path


def copy_files(folder: Path) -> None:
    """Lay out what the build stage sees."""
    for path in files():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(CHECKOUT / path, target)
