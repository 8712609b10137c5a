"""The alert rules fire when they should, by Prometheus's own judgement; each has a runbook section."""

import re
import shutil
import subprocess
from pathlib import Path

from tests.servers import absent

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "prometheus"


def test_the_rules_fire_when_they_should():
    promtool = shutil.which("promtool") or absent(
        "no promtool (on Debian: apt install prometheus)"
    )
    run = subprocess.run(
        [promtool, "test", "rules", "alerts_test.yml"],
        cwd=RULES,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_each_alert_is_tested_and_has_a_section_in_the_runbook():
    alerts = re.findall(r"alert: (\w+)", (RULES / "alerts.yml").read_text())
    tested = (RULES / "alerts_test.yml").read_text()
    runbook = (ROOT / "docs" / "alerts-runbook.md").read_text()
    assert alerts
    for alert in alerts:
        assert f"alertname: {alert}" in tested
        assert f"\n## {alert}\n" in runbook
        assert f"alerts-runbook.md#{alert.lower()}" in (RULES / "alerts.yml").read_text()
