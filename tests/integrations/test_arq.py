"""arq: errors at a worker's start, and what is counted; the fleets are in the contract."""

import os
import subprocess
import sys

import pytest

pytest.importorskip(
    "arq", reason="arq needs an older redis-py: `make test-arq` runs these tests"
)

from arq.connections import ArqRedis
from arq.worker import Retry

from breaker import Breaker, ConfigurationError
from breaker.integrations.arq import create_worker
from tests.integrations.fleets import ArqFleet

# arq closes its connections by a method that redis-py has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:Call to deprecated close:DeprecationWarning")


class Limited(Exception):
    status_code = 429


async def limited(_context):
    raise Limited


async def limited_and_retried(_context):
    raise Retry from Limited()


async def retried(_context):
    raise Retry


class Settings:
    functions = (limited, limited_and_retried, retried)
    queue_name = "content"
    handle_signals = False
    max_tries = 1
    poll_delay = 0.05


async def run(store, function, **options):
    """Let a worker run a job once; returns its tries and whether it is still in its queue."""
    async with ArqRedis.from_url(store.url) as pool:
        await pool.enqueue_job(function.__name__, _job_id="j", _queue_name="content")
        settings = {**vars(Settings), "redis_pool": pool, "url": store.url, "push": False}
        given = {name: settings.pop(name) for name in ("url", "push")}
        worker = create_worker(settings, burst=True, max_burst_jobs=1, **given, **options)
        await worker.async_run()
        tries = int(await pool.get("arq:retry:j") or 0)
        is_queued = await pool.zscore("content", "j") is not None
        await worker.close()
    with Breaker("content", url=store.url, push=False) as breaker:
        return tries, is_queued, breaker.status().rate_limit_errors


async def test_a_rate_limited_job_goes_back_with_its_tries(store):
    assert await run(store, limited) == (0, True, 1)


async def test_a_rate_limited_job_is_left_to_arq(store):
    assert await run(store, limited, requeue=False) == (0, False, 1)


async def test_a_retry_is_no_evidence_but_what_it_wraps_is(store):
    assert await run(store, retried) == (1, True, 0)


async def test_what_a_retry_wraps_is_counted(store):
    assert await run(store, limited_and_retried) == (1, True, 1)


async def test_settings_are_not_changed(store):
    before = Settings.functions
    create_worker(Settings, url=store.url)
    create_worker(Settings, url=store.url)
    assert Settings.functions is before


async def test_settings_that_are_none_are_refused():
    with pytest.raises(ConfigurationError, match=r"not a worker's settings: 'app\.Settings'"):
        create_worker("app.Settings")


async def test_a_worker_that_may_not_retry_is_refused():
    with pytest.raises(ConfigurationError, match="with retry_jobs=False no job can go back"):
        create_worker(Settings, retry_jobs=False)


async def test_the_error_shows_the_line_to_write():
    with pytest.raises(
        ConfigurationError, match=r'run_worker\(WorkerSettings, queues=\["content"\]\)'
    ):
        create_worker(Settings, queues="content")


async def test_the_environment_names_the_breaker(store, monkeypatch):
    monkeypatch.setenv("BREAKER_QUEUES", "content=together:llama")
    await run(store, limited)
    with Breaker("together:llama", url=store.url, push=False) as breaker:
        assert breaker.status().rate_limit_errors == 1


def test_a_worker_does_not_start_if_its_queue_is_not_among_the_queues(store):
    fleet = ArqFleet(store.url, store.url, "http://127.0.0.1:9", BREAKER_QUEUES="contents")
    ended = subprocess.run(
        [sys.executable, "-m", *fleet.command(0)],
        env=os.environ | fleet.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert ended.returncode != 0
    assert "there is no queue 'contents' to guard" in ended.stderr
    assert "Traceback" not in ended.stderr
