"""The random part of a wait is the project's own."""

import os
import random
import subprocess
import sys

import pytest

from breaker import jitter

DRAW = "import random; random.seed(1); from breaker import jitter; print(jitter.draw())"


def test_a_wait_leaves_the_job_its_random_numbers():
    before = random.getstate()
    jitter.draw(), jitter.uniform(0.5, 1.0)
    assert random.getstate() == before


def test_workers_that_seed_alike_do_not_wait_alike():
    drawn = {
        subprocess.run([sys.executable, "-c", DRAW], check=True, capture_output=True).stdout
        for _ in range(2)
    }
    assert len(drawn) == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_worker_draws_numbers_of_its_own():
    code = (
        "import os; from breaker import jitter; jitter.draw()\n"
        "child = os.fork()\n"
        "if child: os.waitpid(child, 0)\n"
        "print(jitter.draw(), flush=True)\n"
    )
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout
    assert len(set(told.split())) == 2
