"""What the example for Node brings along is what the store runs, and what Python begins with."""

import re
from pathlib import Path

from breaker.protocol.scripts import render
from breaker.settings import OPTIONS

EXAMPLE = Path(__file__).parents[2] / "examples" / "bullmq-node"


def test_the_scripts_are_rendered_from_the_sources(tmp_path):
    render(tmp_path)
    brought = sorted((EXAMPLE / "scripts").glob("*.lua"))
    assert len(brought) == 3
    for script in brought:
        assert script.read_text() == (tmp_path / script.name).read_text(), (
            "run: python -m breaker.protocol DIR"
        )


def test_the_settings_are_the_defaults():
    text = (EXAMPLE / "breaker.mjs").read_text()
    rows = re.findall(
        r'^  (\w+): "?([\w.]+)"?,$', text.split("};")[0].split("SETTINGS")[-1], re.MULTILINE
    )
    options = OPTIONS.values()
    wanted = {o.wire_name: str(o.to_wire(o.read(o.default))) for o in options}
    assert dict(rows) == wanted
