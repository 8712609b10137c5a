"""A real Prometheus scrapes a real `breaker serve`, and is asked what it saw."""

import contextlib
import json
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from breaker import Breaker
from tests.servers import Server, absent, free_port
from tests.service.running import Service, serving

PATIENCE = 30.0
CONFIG = """
global:
  scrape_interval: 200ms
  scrape_timeout: 200ms
scrape_configs:
  - job_name: breaker
    static_configs:
      - targets: ["{target}"]
"""


class Prometheus:
    """A process of our own, asked over its HTTP API."""

    def __init__(self, url: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self.url = url
        self.process = process
        self.log = log
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def query(self, expression: str) -> list[tuple[dict[str, str], str]]:
        """The labels and the value of each series."""
        path = f"/api/v1/query?query={urllib.parse.quote(expression)}"
        with self.opener.open(self.url + path, timeout=PATIENCE) as answer:
            result: list[dict[str, Any]] = json.load(answer)["data"]["result"]
        return [(series["metric"], series["value"][1]) for series in result]

    def wait_for(self, expression: str, *values: str) -> list[tuple[dict[str, str], str]]:
        """Ask until the answer has just these values."""
        deadline = time.monotonic() + PATIENCE
        found: object = None
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(OSError):
                found = answer = self.query(expression)
                if [value for _, value in answer] == [*values]:
                    return answer
            time.sleep(0.05)
        raise AssertionError(
            f"{expression} is {found}, not {values}:\n{self.log.read_text(errors='replace')}"
        )


@pytest.fixture
def store(new_server: Callable[..., Server]) -> Server:
    return new_server()


@pytest.fixture
def service(store: Server) -> Iterator[Service]:
    with serving(store.url) as service:
        yield service


@pytest.fixture
def prometheus(service: Service, tmp_path: Path) -> Iterator[Prometheus]:
    binary = shutil.which("prometheus") or absent(
        "no prometheus (on Debian: apt install prometheus)"
    )
    config, log = tmp_path / "prometheus.yml", tmp_path / "log"
    config.write_text(CONFIG.format(target=service.url.removeprefix("http://")))
    address = f"127.0.0.1:{free_port()}"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                binary,
                f"--config.file={config}",
                f"--storage.tsdb.path={tmp_path / 'data'}",
                f"--web.listen-address={address}",
            ],
            stdout=output,
            stderr=output,
        )
    try:
        yield Prometheus(f"http://{address}", process, log)
    finally:
        process.kill()
        process.wait()


def test_prometheus_sees_the_fleet(store: Server, prometheus: Prometheus, name: str) -> None:
    with Breaker(name, url=store.url, threshold=5) as tripped:
        for _ in range(5):
            tripped.record_rate_limit_error(retry_after=600)
        [(labels, _)] = prometheus.wait_for("breaker_paused", "1")
        assert labels["breaker"] == name
        prometheus.wait_for('breaker_state{state="open"}', "1")
        prometheus.wait_for("breaker_rate_limit_errors_total", "5")
        prometheus.wait_for("breaker_trips_total", "1")
        tripped.pause()
        prometheus.wait_for("breaker_pause_remaining_seconds > 3600", "+Inf")
        tripped.resume()
        prometheus.wait_for("breaker_paused", "0")


def test_prometheus_forgets_the_fleet_when_the_store_dies(
    store: Server, prometheus: Prometheus, name: str
) -> None:
    with Breaker(name, url=store.url) as paused:
        paused.pause()
    prometheus.wait_for("breaker_paused", "1")
    store.kill()
    prometheus.wait_for("breaker_store_up", "0")
    prometheus.wait_for("up", "1")
    prometheus.wait_for("breaker_paused")
