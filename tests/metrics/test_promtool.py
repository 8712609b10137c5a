"""Prometheus's own linter has nothing to say about any state a fleet can be in."""

import shutil
import subprocess
from collections.abc import Callable

import pytest

from breaker import Breaker
from breaker.metrics import Collector
from tests.metrics.scraped import scrape
from tests.servers import absent


@pytest.fixture
def complaints() -> Callable[[str], str]:
    promtool = shutil.which("promtool") or absent(
        "no promtool (on Debian: apt install prometheus)"
    )

    def check(text: str) -> str:
        run = subprocess.run(
            [promtool, "check", "metrics"],
            input=text,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        return run.stdout + run.stderr if run.returncode else run.stdout

    return check


def test_every_state(
    make: Callable[..., Breaker], collector: Collector, complaints: Callable[[str], str]
) -> None:
    make("closed").record_success()
    make("open", threshold=1).record_rate_limit_error()
    make("forced open").pause()
    make("disabled").disable()
    make("shadow", threshold=1, mode="shadow").record_rate_limit_error()
    make('"quoted" \\ köln').record_success()
    paced = make("paced", threshold=1, cooldown=0.05)
    paced.record_rate_limit_error()
    paced.acquire(timeout=10).rate_limited()
    assert complaints(scrape(collector)) == ""


def test_a_dead_store(complaints: Callable[[str], str]) -> None:
    assert complaints(scrape(Collector(url="redis://127.0.0.1:1"))) == ""


def test_the_linter_does_complain(complaints: Callable[[str], str]) -> None:
    assert "counter" in complaints("# HELP trips Trips.\n# TYPE trips counter\ntrips 1\n")
