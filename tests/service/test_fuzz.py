"""The API does what its description says, whatever it is sent."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.service.running import serving

# What a description cannot say: that a name must be printable, that a cooldown must not be above
# max_cooldown. So requests that fit it may still be refused.
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_headers_conformance,response_schema_conformance,negative_data_rejection,"
    "missing_required_header,ignored_auth"
)
FUZZER = Path(sys.executable).parent / "schemathesis"


@pytest.mark.integration
@pytest.mark.timeout(300)
@pytest.mark.skipif(not FUZZER.exists(), reason="schemathesis is not installed")
def test_the_description_is_true(new_server, tmp_path, monkeypatch):
    monkeypatch.setenv("BREAKER_TOKEN", "change")
    monkeypatch.setenv("BREAKER_READ_TOKEN", "look")
    with serving(new_server().url) as service:
        run = subprocess.run(
            [
                str(FUZZER),
                "run",
                f"{service.url}/openapi.json",
                "--header=Authorization: Bearer change",
                f"--checks={CHECKS}",
                "--max-examples=10",
                "--seed=1",  # the same requests in every run
                "--generation-deterministic",
                "--request-timeout=20",
                "--suppress-health-check=all",
                "--exclude-path-regex=/v1/events|/check",  # these wait
                "--phases=examples,coverage,fuzzing",
                "--no-color",
            ],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env=os.environ | {"PYTHONWARNINGS": "ignore"},
        )
    assert run.returncode == 0, run.stdout + run.stderr
