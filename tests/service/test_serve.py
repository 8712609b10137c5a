"""`breaker serve` as a real process."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics

from breaker import Breaker
from breaker.service.command import serve
from tests.servers import Server
from tests.service.running import SERVE, Service, serving

NOBODY = "redis://127.0.0.1:1"


@pytest.fixture
def url(new_server: Callable[..., Server]) -> str:
    """A store of the test's own: the service logs what happens to all breakers of its store."""
    return new_server().url


@pytest.fixture
def service(url: str) -> Iterator[Service]:
    with serving(url) as service:
        yield service


def refused(*options: str, **environment: str) -> tuple[int, str]:
    run = subprocess.run(
        [*SERVE, *options],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env=os.environ | environment,
    )
    return run.returncode, run.stderr


def test_metrics_are_text_unless_openmetrics_is_asked_for(
    service: Service, url: str, name: str
) -> None:
    with Breaker(name, url=url) as paused:
        paused.pause()
    status, headers, body = service.get("/metrics")
    assert status == 200
    assert headers["content-type"].startswith("text/plain; version=0.0.4")
    assert f'breaker_paused{{breaker="{name}"}} 1.0' in body
    status, headers, body = service.get(
        "/metrics", accept="application/openmetrics-text; version=1.0.0"
    )
    assert status == 200
    assert headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert "breaker_trips" in {family.name for family in openmetrics(body)}


def test_its_metrics_are_the_fleets_and_nothing_else(service: Service) -> None:
    lines = service.get("/metrics")[2].splitlines()
    assert all(
        line.startswith(("breaker_", "# HELP breaker_", "# TYPE breaker_")) for line in lines
    )


def test_health_is_the_processes_and_readiness_the_stores() -> None:
    with serving(NOBODY) as service:
        status, headers, body = service.get("/healthz")
        assert (status, json.loads(body)) == (200, {"status": "alive"})
        assert headers["content-type"] == "application/json"
        status, _, body = service.get("/readyz")
        assert status == 503
        assert json.loads(body)["status"] == "not ready"
        assert "127.0.0.1:1" in json.loads(body)["reason"]
        assert "\nbreaker_store_up 0.0\n" in service.get("/metrics")[2]


def test_ready(service: Service) -> None:
    status, _, body = service.get("/readyz")
    assert (status, json.loads(body)) == (200, {"status": "ready"})


@pytest.mark.parametrize("wanted", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_when_told(service: Service, wanted: signal.Signals) -> None:
    assert service.get("/healthz")[0] == 200
    service.process.send_signal(wanted)
    _, errors = service.process.communicate(timeout=5)
    assert service.process.returncode == 0
    assert errors == ""


def test_it_logs_neither_scrapes_nor_health_checks(service: Service) -> None:
    paths = ("/metrics", "/healthz", "/readyz")
    for path in paths:
        service.get(path)
    service.process.terminate()
    # A scrape writes down what time alone has changed, so transitions may well be logged.
    said = service.process.communicate(timeout=5)[1]
    assert not [path for path in (*paths, "HTTP/1.1") if path in said]


def test_a_port_in_use_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, errors = refused("--port", str(port))
    assert code == 2
    assert errors == (
        f"breaker serve: cannot listen on 127.0.0.1:{port}: Address already in use\n"
    )


def test_a_host_that_is_not_here_is_one_line() -> None:
    code, errors = refused("--host", "192.0.2.1", "--port", "0")
    assert (code, errors.count("\n")) == (2, 1)
    assert "cannot listen on 192.0.2.1:0" in errors


def test_a_wrong_url_is_one_line() -> None:
    code, errors = refused("--url", "http://localhost", "--port", "0")
    assert (code, errors.count("\n")) == (2, 1)
    assert "it must look like redis://" in errors


def test_the_environment_says_where_to_listen() -> None:
    with socket.create_server(("127.0.0.2", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, errors = refused(BREAKER_SERVE_HOST="127.0.0.2", BREAKER_SERVE_PORT=port)
    assert code == 2
    assert f"cannot listen on 127.0.0.2:{port}" in errors


def test_head_is_answered_like_get(service: Service) -> None:
    for path in ("/healthz", "/readyz", "/metrics"):
        request = urllib.request.Request(service.url + path, method="HEAD")
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == 200
            assert answer.read() == b""
            assert int(answer.headers["content-length"]) > 0


def test_a_port_that_kubernetes_set_for_its_service_is_passed_over() -> None:
    context = click.Context(serve)
    (port,) = (param for param in serve.params if param.name == "port")
    assert port.type.convert("tcp://10.96.0.12:8429", port, context) == 8429
    assert port.type.convert("0", port, context) == 0
    with pytest.raises(click.BadParameter):
        port.type.convert("http", port, context)


@contextlib.contextmanager
def own_store(folder: Path, **environment: str) -> Iterator[tuple[Service, str]]:
    """A service that was given no store; yields where it tells workers to find one."""
    command = [sys.executable, "-c", OWN, "--data", str(folder), "--port", "0"]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=_without_url() | environment
    )
    assert process.stderr
    try:
        said = ""
        while not (found := re.search(r"serving (http://\S+), store (\S+)", said)):
            line = process.stderr.readline()
            assert line, said
            said += line
        assert f"export BREAKER_URL={found[2]}" in said
        yield Service(process, found[1]), found[2]
    finally:
        process.terminate()
        process.communicate(timeout=20)


# Other tests' machines may have a store at the usual places, and several of these run at once.
OWN = """
import socket
from breaker.service import command
with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    command.OWN_PORT = probe.getsockname()[1]
command.DEFAULT_URL = "redis://127.0.0.1:1"
command.serve()
"""


def _without_url() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "BREAKER_URL"}


def test_without_a_url_it_starts_a_store_that_outlives_it(tmp_path: Path, name: str) -> None:
    with own_store(tmp_path / "new") as (service, where):
        with Breaker(name, url=where) as worker:
            worker.pause(reason="kept")
        assert service.get(f"/v1/breakers/{name}")[0] == 200
    with own_store(tmp_path / "new") as (service, _):
        status, _, body = service.get(f"/v1/breakers/{name}")
    assert (status, json.loads(body)["reason"]) == (200, "kept")


def test_a_data_folder_that_cannot_be_used_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    command = [sys.executable, "-c", OWN, "--data", str(file / "in"), "--port", "0"]
    run = subprocess.run(
        command, capture_output=True, text=True, timeout=30, check=False, env=_without_url()
    )
    assert (run.returncode, run.stderr.count("\n")) == (2, 1)
    assert "name another: --data" in run.stderr


def test_a_wrong_password_is_an_error_at_start(new_server: Callable[..., Server]) -> None:
    server = new_server()
    with server.client() as client:
        client.config_set("requirepass", "secret")
    url = server.url.replace("redis://", "redis://:wrong-one@")
    code, errors = refused("--url", url, "--port", "0")
    assert (code, errors.count("\n")) == (2, 1)
    assert "wrong-one" not in errors


def test_an_empty_token_is_an_error_at_start(url: str) -> None:
    code, errors = refused("--url", url, "--port", "0", BREAKER_TOKEN="")
    assert (code, errors.count("\n")) == (2, 1)
    assert "BREAKER_TOKEN is empty" in errors
