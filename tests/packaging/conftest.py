import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.packaging import image

Run = Callable[..., subprocess.CompletedProcess[str]]


def pip(*arguments: str | Path) -> None:
    quiet = ("--quiet", "--disable-pip-version-check")
    command = [sys.executable, "-m", "pip", *arguments, *quiet]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from nothing but what the image gets."""
    source = tmp_path_factory.mktemp("source")
    built = tmp_path_factory.mktemp("built")
    image.copy_files(source)
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", built, source)
    [wheel] = built.iterdir()
    return wheel


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the wheel was installed to, away from the checkout."""
    target = tmp_path_factory.mktemp("installed")
    pip("install", "--no-deps", "--no-index", "--target", target, wheel)
    return target


def surroundings(folder: Path) -> dict[str, str]:
    """An environment in which Python finds the package in that folder, before any other."""
    path = os.pathsep.join([str(folder / "bin"), os.environ["PATH"]])
    return os.environ | {"PYTHONPATH": str(folder), "PATH": path}


@pytest.fixture
def run(installed: Path, tmp_path: Path) -> Run:
    """Run a command where there is only the installed package."""

    def run(
        command: list[str], folder: Path = installed, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        program = sys.executable if command[0] == "python" else command[0]
        return subprocess.run(
            [program, *command[1:]],
            cwd=tmp_path,
            env=surroundings(folder) | environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run
