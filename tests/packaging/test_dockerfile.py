"""Without an engine: what the image copies is there, and what it runs does run.

The commands are taken from the Dockerfile and run on the installed wheel.
"""

import re
import shutil
import sys
import zipfile
from collections.abc import Callable
from email.parser import Parser
from pathlib import Path, PurePosixPath

import pytest

from tests.packaging import image
from tests.packaging.conftest import Run, surroundings
from tests.servers import Server, free_port
from tests.service.running import serving


@pytest.fixture
def url(new_server: Callable[..., Server]) -> str:
    """A store of the test's own: the service logs what happens to all breakers of its store."""
    return new_server().url


def test_everything_copied_exists_and_is_sent() -> None:
    files = set(image.files())
    for source in image.copied():
        assert any(path.is_relative_to(source) for path in files), (
            f"nothing of {source} is sent"
        )


@pytest.mark.parametrize(
    "path", ["breaker/__pycache__/sync.cpython-311.pyc", ".git/config", "tests/conftest.py"]
)
def test_what_the_image_does_not_need_is_not_sent(path: str) -> None:
    assert image.is_ignored(PurePosixPath(path))


def test_the_extras_it_installs_exist(wheel: Path) -> None:
    [install] = [rest for rest in image.instructions("RUN") if "pip install" in rest]
    wanted = re.search(r"\.whl\)\[([\w,]+)\]", install)
    assert wanted
    with zipfile.ZipFile(wheel) as archive:
        [metadata] = [name for name in archive.namelist() if name.endswith("/METADATA")]
        given = Parser().parsestr(archive.read(metadata).decode()).get_all("Provides-Extra")
    assert set(wanted[1].split(",")) <= set(given or ())


def test_its_last_check_passes(run: Run) -> None:
    done = run(image.command(image.instructions("RUN")[-1]))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("missing", ["lua", "lua/include/clock.lua", "lua/*.lua"])
def test_its_last_check_fails_without_the_lua(
    run: Run, installed: Path, tmp_path: Path, missing: str
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(installed, broken)
    for path in (broken / "breaker").glob(missing):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    done = run(image.command(image.instructions("RUN")[-1]), broken)
    assert done.returncode != 0


def test_it_serves_and_its_health_check_tells(
    run: Run, installed: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    [entry], [arguments] = image.instructions("ENTRYPOINT"), image.instructions("CMD")
    [health] = image.instructions("HEALTHCHECK")
    # The command's last words are --host 0.0.0.0; the test's own come after them and win.
    words = [*image.command(entry), *image.command(arguments)]
    words[0] = shutil.which(words[0], path=str(installed / "bin")) or words[0]
    for key, value in surroundings(installed).items():
        monkeypatch.setenv(key, value)
    with serving(url, command=[sys.executable, *words]) as service:
        port = service.url.rpartition(":")[2]
        healthy = run(image.command(health), BREAKER_SERVE_PORT=port)
        assert healthy.returncode == 0, healthy.stderr
        service.process.terminate()
        service.process.wait(timeout=5)
        assert run(image.command(health), BREAKER_SERVE_PORT=port).returncode != 0


def test_a_proxy_does_not_get_the_health_check(run: Run, url: str) -> None:
    [health] = image.instructions("HEALTHCHECK")
    with serving(url) as service:
        port = service.url.rpartition(":")[2]
        nobody = f"http://127.0.0.1:{free_port()}"
        done = run(image.command(health), BREAKER_SERVE_PORT=port, http_proxy=nobody)
    assert done.returncode == 0, done.stderr
