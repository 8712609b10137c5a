"""Every Python block of the documentation works as it is pasted."""

import pytest

from breaker import Breaker
from tests.docs.pages import Block, blocks

BLOCKS = list(blocks())
# An API that refuses the first six calls, and asks for a pause of a moment each time.
REFUSING = """
class TooManyRequests(Exception):
    status_code = 429
    headers = {"retry-after": "0.05"}

calls = []

def print(job, print=print):
    calls.append(job)
    if len(calls) <= 6:
        raise TooManyRequests
    print("done", job)
"""


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: f"{block.page}:{block.line}")
def test_it_runs(block: Block, run) -> None:
    ended = run(block)
    assert ended.returncode == 0, f"{block.page}:{block.line}\n{block.code}\n{ended.stderr}"


@pytest.mark.parametrize(
    "loop",
    [block for block in BLOCKS if "jobs = deque" in block.code],
    ids=lambda block: f"{block.page}:{block.line}",
)
def test_no_loop_loses_a_job_to_429s(loop: Block, run, name, url) -> None:
    ended = run(loop, REFUSING)
    assert ended.returncode == 0, ended.stderr
    assert sorted(ended.stdout.split("\n")) == ["", "done job-1", "done job-2", "done job-3"]
    with Breaker(name, url=url, push=False) as breaker:
        assert breaker.status().trips >= 1
