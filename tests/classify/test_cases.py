"""The labelled errors of real SDKs: kind and wait, each right."""

import json
from pathlib import Path

import pytest

from breaker import rate_limit
from tests.classify.build import build

CORPUS = json.loads((Path(__file__).parent / "cases.json").read_text())
NOW = CORPUS["meta"]["clock_epoch_s"]
TOLERANCE = CORPUS["meta"]["tolerance_s"]


@pytest.mark.parametrize("case", CORPUS["cases"], ids=lambda case: case["id"])
def test_a_labelled_error(case):
    expected = case["expected"]
    found = rate_limit(build(case["how"]["exc"]), NOW)
    kind = found.kind if found else "not"
    assert kind in {expected["kind"], *expected.get("also_ok", [])}
    if kind == expected["kind"]:
        wait = expected["retry_after_s"]
        assert (found and found.retry_after) == pytest.approx(wait, abs=TOLERANCE)
