"""What can be checked of deploy/ without running it: its files, its ports, its queries."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped] # its types are a package of their own

from breaker.metrics import Collector
from tests.contract.waiting import eventually
from tests.servers import absent

DEPLOY = Path(__file__).parents[2] / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana/breaker.json").read_text())
QUERIES = [
    target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", [])
]


def read(path):
    return yaml.safe_load((DEPLOY / path).read_text())


def test_every_file_that_is_mounted_or_named_exists():
    for service in read("compose.yml")["services"].values():
        for mounted in service.get("volumes", []):
            if mounted.startswith("."):
                assert (DEPLOY / mounted.partition(":")[0]).exists(), mounted
    for name in read("kubernetes/kustomization.yaml")["resources"]:
        assert (DEPLOY / "kubernetes" / name).exists()
    for name in read("prometheus/prometheus.yml")["rule_files"]:
        assert (DEPLOY / "prometheus" / name).exists()


def test_the_probes_ask_routes_that_exist():
    from breaker.service.app import create_app

    app = create_app("redis://localhost:1/0", prefix="deploy")
    paths = set(app.openapi()["paths"])
    [container] = read("kubernetes/deployment.yaml")["spec"]["template"]["spec"]["containers"]
    for probe in ("readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["path"] in paths


def test_no_container_of_ours_is_root_or_writes_to_its_image():
    pod = read("kubernetes/deployment.yaml")["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"]
    services = read("compose.yml")["services"]
    assert services["breaker"]["read_only"]
    assert services["fleet"]["read_only"]
    for service in services.values():  # the host's own programs alone
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_the_dashboard_asks_for_metrics_that_exist(url, prefix_of_metrics):
    known = {
        f"{one.name}_total" if one.type == "counter" else one.name
        for one in Collector(url=url, prefix=prefix_of_metrics).describe()
    }
    asked = set(re.findall(r"\bbreaker_\w+", " ".join(QUERIES)))
    assert asked
    assert asked <= known


@pytest.fixture
def prefix_of_metrics(name):
    return f"deploy-{name}"


def test_prometheus_accepts_the_queries_and_its_configuration(tmp_path):
    promtool = shutil.which("promtool") or absent(
        "no promtool (on Debian: apt install prometheus)"
    )
    keda = read("kubernetes/keda.yaml")["spec"]["triggers"][0]["metadata"]["query"]
    plain = [one.replace("$__rate_interval", "1m").replace("$breaker", ".*") for one in QUERIES]
    rules = [{"record": f"query:{n}", "expr": one} for n, one in enumerate([*plain, keda])]
    (tmp_path / "rules.yml").write_text(
        yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]})
    )
    for words in (
        ("check", "rules", tmp_path / "rules.yml"),
        ("check", "config", DEPLOY / "prometheus/prometheus.yml"),
    ):
        run = subprocess.run(
            [promtool, *words], check=False, capture_output=True, text=True, timeout=60
        )
        assert run.returncode == 0, run.stdout + run.stderr


def test_systemd_understands_the_unit(tmp_path):
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("a container has no systemd, and so no systemd-analyze")
    unit = tmp_path / "breaker.service"
    text = (DEPLOY / "systemd/breaker.service").read_text()
    unit.write_text(text.replace("/opt/breaker/bin/breaker", "/bin/true"))
    run = subprocess.run(
        [analyze, "verify", unit], check=False, capture_output=True, text=True, timeout=60
    )
    assert run.returncode == 0, run.stderr
    assert "breaker.service" not in run.stderr, run.stderr


def test_the_demo_fleet_takes_part(url, client, monkeypatch, name):
    monkeypatch.setenv("BREAKER_URL", url)
    monkeypatch.setenv("BREAKER_PREFIX", name)
    with subprocess.Popen([sys.executable, DEPLOY / "demo/fleet.py"]) as process:
        try:
            eventually(lambda: client.smembers(f"{name}s") == {"content"})
            assert process.poll() is None
        finally:
            process.kill()
