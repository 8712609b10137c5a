"""Celery: errors at an application's start; the fleets are in the contract."""

import contextlib
import os
import subprocess
import sys
import types

import pytest
from celery import Celery
from celery.exceptions import Ignore, Retry
from kombu import Exchange, Queue

from breaker import ConfigurationError
from breaker.integrations.celery import PERMIT, _routes, _slots, guarded, install
from breaker.integrations.gate import Gate
from tests.integrations.fleets import CeleryFleet


@pytest.fixture
def app():
    return Celery("test", broker="memory://", set_as_current=False)


def test_an_app_is_guarded_once(app):
    install(app, queues=["content"])
    with pytest.raises(ConfigurationError, match="call install only once"):
        install(app, queues=["content"])


def test_install_is_too_late_in_a_worker_that_has_started(app, monkeypatch):
    monkeypatch.setattr(type(app.log), "_setup", True)
    with pytest.raises(ConfigurationError, match="after the worker started"):
        install(app, queues=["content"])


def test_the_error_shows_the_line_to_write(app):
    with pytest.raises(ConfigurationError, match=r'write install\(app, queues=\["content"\]\)'):
        install(app, queues="content")


def worker(store, **environment):
    """Start a worker that is expected to end by itself."""
    fleet = CeleryFleet(store.url, store.url, "http://127.0.0.1:9", **environment)
    return subprocess.run(
        [sys.executable, "-m", *fleet.command(0)],
        env=os.environ | fleet.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )


def test_a_worker_does_not_start_if_the_queue_does_not_exist(store):
    ended = worker(store, QUEUES="contnet")
    assert ended.returncode != 0
    said = ended.stdout + ended.stderr
    assert "there is no queue 'contnet' to guard" in said
    assert 'write install(app, queues=["content"])' in said


def test_a_worker_does_not_start_if_messages_do_not_tell_their_queue(store):
    ended = worker(store, QUEUES="content", EXCHANGE="topic")
    assert ended.returncode != 0
    assert "its exchange is of type 'topic'" in ended.stdout + ended.stderr


def test_queues_that_get_the_same_messages_have_the_same_breaker():
    exchange = Exchange("both", type="direct")
    queues = {name: Queue(name, exchange, routing_key="same") for name in ("content", "other")}
    with pytest.raises(ConfigurationError, match="get the same messages"):
        _routes(Gate(["content"], line="{}"), queues)
    shared = Gate({"content": "one", "other": "one"}, line="{}")
    assert _routes(shared, queues)["both", "same"] in queues


@pytest.mark.parametrize(
    ("pool", "slots"),
    [
        ({"is_green": True, "limit": 4, "num_processes": 0}, 4),
        ({"is_green": False, "limit": 4, "num_processes": 2}, 2),
        ({"limit": 1, "num_processes": 1}, 1),
    ],
)
def test_a_pool_of_greenlets_says_its_size_by_its_limit(pool, slots):
    assert _slots(types.SimpleNamespace(**pool)) == slots


# -- what runs in a child


class Limited(Exception):
    status_code = 429


def task_with(permit, sent):
    """A task whose request carries a permit."""
    request = types.SimpleNamespace(headers={PERMIT: 1})
    setattr(request, PERMIT, ("content", "text", 0))
    again = types.SimpleNamespace(apply_async=lambda: sent.append("again"))
    return types.SimpleNamespace(request=request, signature_from_request=lambda **_: again)


class Permit:
    def __init__(self):
        self.reports = []
        self.status = None
        self.running = contextlib.nullcontext

    def report(self, error=None):
        from breaker import rate_limit

        self.reports.append(error)
        return error and rate_limit(error)


def run(error, *, calls=1):
    """Run a guarded task that raises; return the permit and how often the task was sent again."""
    permit = Permit()
    sent: list[str] = []
    breaker = types.SimpleNamespace(permit=lambda _text: permit)
    gate = Gate(["content"], line="{}")
    vars(gate)["breaker"] = lambda _queue: breaker

    def body():
        raise error

    task = task_with(permit, sent)
    call = guarded(gate, task, body)
    for _ in range(calls):
        with pytest.raises(Exception) as caught:  # noqa: PT011 - which one is the question
            call()
    return permit, sent, caught.value


def test_a_rate_limited_task_is_sent_again_and_ignored():
    permit, sent, raised = run(error := Limited())
    assert permit.reports == [error]
    assert sent == ["again"]
    assert isinstance(raised, Ignore)


def test_another_error_passes():
    permit, sent, raised = run(error := ZeroDivisionError())
    assert permit.reports == [error]
    assert sent == []
    assert raised is error


def test_a_retry_is_left_to_celery_but_what_it_wraps_is_evidence():
    permit, sent, raised = run(Retry(exc=(limited := Limited())))
    assert permit.reports == [limited]
    assert sent == []
    assert isinstance(raised, Retry)


def test_a_permit_is_used_once():
    permit, _, raised = run(Limited(), calls=2)
    assert len(permit.reports) == 1
    assert isinstance(raised, Limited)  # the second call was not the task's own
