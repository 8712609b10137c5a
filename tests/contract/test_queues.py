"""The four functions, sync and awaited."""

import pytest

import breaker
from breaker import aio


@pytest.fixture
def configured(url):
    breaker.configure(url=url, threshold=2, cooldown=600)
    yield
    for made in (*breaker.queues._defaults._made.values(),):
        made.close()
    breaker.configure()


def test_the_four_functions(configured, name):
    assert not breaker.is_queue_paused(name)
    assert breaker.record_queue_rate_limit_error(name).consecutive_errors == 1
    breaker.record_queue_success(name)
    breaker.record_queue_rate_limit_error(name, retry_after=300)
    assert breaker.record_queue_rate_limit_error(name, error_id="e").tripped
    assert breaker.is_queue_paused(name)
    status = breaker.get_queue_circuit_status(name)
    assert (status.name, status.state, status.threshold) == (name, "open", 2)


async def test_the_four_functions_awaited(configured, name):
    assert not await aio.is_queue_paused(name)
    await aio.record_queue_success(name)
    await aio.record_queue_rate_limit_error(name)
    assert (await aio.record_queue_rate_limit_error(name)).tripped
    assert (await aio.get_queue_circuit_status(name)).is_paused
    assert breaker.is_queue_paused(name)
    await aio._defaults[name].close()


def test_the_environment_names_the_store(url, name, monkeypatch):
    breaker.configure()
    monkeypatch.setenv("BREAKER_URL", url)
    monkeypatch.setenv("BREAKER_THRESHOLD", "1")
    assert breaker.record_queue_rate_limit_error(name).tripped
    breaker.queues._defaults[name].close()
