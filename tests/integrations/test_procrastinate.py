"""Procrastinate: errors at an application's start, and what a worker does with a job."""

import asyncio

import pytest
from procrastinate import App, testing

from breaker import Breaker, ConfigurationError
from breaker.integrations.procrastinate import install


class Limited(Exception):
    status_code = 429


@pytest.fixture
def app():
    return App(connector=testing.InMemoryConnector())


@pytest.fixture
def breaker(store):
    with Breaker("content", url=store.url, push=False) as breaker:
        yield breaker


def test_an_app_is_guarded_once(app):
    install(app, queues=["content"])
    with pytest.raises(ConfigurationError, match="call install only once"):
        install(app, queues=["content"])


def test_the_error_shows_the_line_to_write(app):
    with pytest.raises(ConfigurationError, match=r'write install\(app, queues=\["content"\]\)'):
        install(app, queues="content")


def test_an_app_made_with_another_connector_is_guarded_too(app):
    install(app, queues=["content"])
    other = app.with_connector(testing.InMemoryConnector())
    assert "fetch_job" in vars(other.job_manager)


async def test_a_worker_does_not_start_if_the_queue_does_not_exist(app):
    install(app, queues=["contnet"])
    with pytest.raises(ConfigurationError, match="there is no queue 'contnet' to guard"):
        await app.run_worker_async(queues=["content", "other"], wait=False)


async def test_a_worker_of_all_queues_cannot_be_guarded_by_a_callable(app):
    install(app, queues=lambda queue: queue)
    with pytest.raises(ConfigurationError, match="name its queues"):
        await app.run_worker_async(wait=False)


@pytest.fixture
def work(app, store):
    """Run the jobs of an application until none is left that may run."""
    install(app, queues=["content"], url=store.url, threshold=2, cooldown=0.2)

    async def work(**queues):
        await app.run_worker_async(wait=False, install_signal_handlers=False, **queues)

    return work


@pytest.mark.parametrize("is_async", [True, False])
async def test_a_rate_limited_job_comes_again(is_async, app, work, breaker):
    runs = []

    def run():
        runs.append(1)
        if len(runs) == 1:
            raise Limited

    async def run_async():
        await asyncio.sleep(0)
        run()

    task = app.task(queue="content", name="content")(run_async if is_async else run)
    await task.defer_async()
    await work(queues=["content"])
    assert len(runs) == 2
    assert breaker.status().rate_limit_errors == 1


async def test_procrastinates_own_exceptions_and_others_are_no_evidence(app, work, breaker):
    @app.task(queue="content", name="content")
    def content():
        raise ZeroDivisionError

    await content.defer_async()
    await work(queues=["content"])
    assert breaker.status().rate_limit_errors == 0
    assert [job["status"] for job in app.connector.jobs.values()] == ["failed"]


async def test_while_paused_nothing_is_fetched(app, work, breaker):
    @app.task(queue="content", name="content")
    def content():
        raise AssertionError

    await content.defer_async()
    breaker.pause()
    await work(queues=["content"])
    assert [job["status"] for job in app.connector.jobs.values()] == ["todo"]


async def test_a_job_fetched_as_the_queue_was_paused_goes_back(app, store, breaker):
    @app.task(queue="content", name="content")
    def content():
        raise AssertionError

    plain = app.job_manager.fetch_job

    async def fetch_job(**asked):
        job = await plain(**asked)
        breaker.pause()
        return job

    vars(app.job_manager)["fetch_job"] = fetch_job
    install(app, queues=["content"], url=store.url, push=False)
    await content.defer_async()
    await app.run_worker_async(queues=["content"], wait=False, install_signal_handlers=False)
    assert [job["status"] for job in app.connector.jobs.values()] == ["todo"]


async def test_a_task_called_as_a_function_is_not_guarded(app, work, breaker):
    @app.task(queue="content", name="content")
    async def content(again):
        if again:
            await content(again=False)
            raise Limited

    await content.defer_async(again=False)
    await work(queues=["content"])
    with pytest.raises(Limited):
        await content(again=True)
    assert breaker.status().rate_limit_errors == 0
