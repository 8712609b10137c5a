"""The wheel carries all it needs: it is built, installed elsewhere, and run from there."""

import json
import zipfile
from pathlib import Path

from tests.packaging.conftest import Run
from tests.packaging.image import CHECKOUT

EVERY_SCRIPT = """
import json
import breaker
from breaker.protocol.scripts import script, script_names
shas = {name: script(name).sha for name in script_names()}
print(json.dumps({"file": breaker.__file__, "shas": shas}))
"""

ROUND_TRIP = """
import sys
from breaker import Breaker
with Breaker(sys.argv[2], url=sys.argv[1], threshold=1) as b:
    status = b.record_rate_limit_error()
    print(status.state, status.tripped, b.is_paused(), b.resume().state)
"""


def test_its_scripts_are_the_checkouts(run: Run, installed: Path) -> None:
    from breaker.protocol.scripts import script, script_names

    done = run(["python", "-c", EVERY_SCRIPT])
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert Path(said["file"]).is_relative_to(installed)
    assert said["shas"] == {name: script(name).sha for name in script_names()}


def test_a_round_trip(run: Run, url: str, name: str) -> None:
    done = run(["python", "-c", ROUND_TRIP, url, name])
    assert done.stdout.split() == ["open", "True", "True", "closed"], done.stderr


def test_it_holds_the_package_and_the_scripts_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    package = {
        path.relative_to(CHECKOUT).as_posix()
        for path in (CHECKOUT / "breaker").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    scripts = {
        f"breaker/{path.relative_to(CHECKOUT).as_posix()}"
        for path in (CHECKOUT / "lua").rglob("*")
        if path.is_file()
    }
    assert held == package | scripts
