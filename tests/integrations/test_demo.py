"""The demo with each framework's workers."""

import subprocess
import sys

import pytest

from breaker.demo import frameworks
from breaker.demo.frameworks import NAMES, check


@pytest.mark.integration
@pytest.mark.timeout(150)
@pytest.mark.parametrize("framework", [name for name in NAMES if name != "rq"])
def test_a_short_run_loses_nothing(framework):
    options = ["--plain", "--workers", "2", "--duration", "14", "--framework", framework]
    ended = subprocess.run(
        [sys.executable, "-m", "breaker", "demo", *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "It resumed by itself" in ended.stdout


def test_a_framework_that_is_not_there_is_told_with_the_line_to_write(monkeypatch):
    message = "celery is not installed: pip install 'fleet-breaker[celery]'"

    def missing(_name):
        raise ImportError(message)

    monkeypatch.setattr(frameworks.importlib, "import_module", missing)
    with pytest.raises(ImportError, match=r"pip install 'fleet-breaker\[celery\]'"):
        check("celery")
