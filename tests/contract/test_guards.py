"""What may be guarded, and that one failure is one error however it is seen."""

import asyncio
import functools
import multiprocessing
import pickle

import pytest

from breaker import AsyncBreaker, Breaker, BreakerOpen, ConfigurationError
from tests.contract.waiting import eventually


class Limited(Exception):
    status_code = 429


class Wrapped(Exception):
    status_code = 429


def limited(error=None):
    raise error or Limited


# -- guards


def test_a_guard_is_not_entered_twice_at_once(blocking):
    guard = blocking.guard()
    with guard, pytest.raises(ConfigurationError, match="one for each job"), guard:
        pass
    with guard:  # one after the other is well
        pass


def test_a_guard_that_was_refused_may_try_again(make, face):
    breaker = make()
    breaker.pause()
    eventually(breaker.is_paused)
    guard = breaker.inner.guard(timeout=0)
    with pytest.raises(BreakerOpen):
        face.within(guard, lambda _: None)
    breaker.resume()
    eventually(lambda: not breaker.is_paused())
    face.within(guard, lambda _: None)


def test_with_on_a_breaker_in_use_is_refused(url, name):
    breaker = Breaker(name, url=url, push=False)
    breaker.record_success()
    with pytest.raises(ConfigurationError, match=r"breaker\.guard\(\)"), breaker:
        pass
    breaker.close()


def test_with_on_a_breaker_a_second_time_is_refused(url, name):
    breaker = Breaker(name, url=url, push=False)
    with breaker:
        pass
    with pytest.raises(ConfigurationError, match=r"breaker\.guard\(\)"), breaker:
        pass


# -- one failure


def test_an_error_that_passes_two_guards_counts_once(make, face):
    breaker = make(threshold=9)
    error = Limited()
    for _ in range(3):
        with pytest.raises(Limited):
            face.guarded(breaker, lambda: limited(error))
    assert breaker.status().rate_limit_errors == 1
    with pytest.raises(Limited):
        face.guarded(breaker, limited)
    assert breaker.status().rate_limit_errors == 2


def test_an_error_raised_from_one_that_counted_is_the_same_failure(make, face):
    breaker = make(threshold=9)
    error = Limited()

    def wrap():
        raise Wrapped from error

    with pytest.raises(Limited):
        face.guarded(breaker, lambda: limited(error))
    with pytest.raises(Wrapped):
        face.guarded(breaker, wrap)
    assert breaker.status().rate_limit_errors == 1


def test_another_attempt_is_another_failure(make, face):
    breaker = make(threshold=9)

    def retry():
        try:
            face_guarded(limited)
        except Limited:
            raise Limited  # noqa: B904 - a new one, while the other is handled

    def face_guarded(body):
        face.guarded(breaker, body)

    with pytest.raises(Limited):
        face_guarded(limited)
    try:
        limited()
    except Limited:
        with pytest.raises(Limited):
            face_guarded(limited)
    assert breaker.status().rate_limit_errors == 2


def test_two_breakers_each_count_it(make, face, name):
    error = Limited()
    for breaker in (make(), make(name=f"{name}-2")):
        with pytest.raises(Limited):
            face.guarded(breaker, lambda: limited(error))
        assert breaker.status().rate_limit_errors == 1


# -- decorators


@pytest.fixture
def blocking(url, name):
    with Breaker(name, url=url, push=False) as breaker:
        yield breaker


@pytest.fixture
async def awaited(url, name):
    async with AsyncBreaker(name, url=url, push=False) as breaker:
        yield breaker


def counted(breaker):
    return breaker.status().rate_limit_errors


async def coroutine():
    raise Limited


async def async_generator():
    yield 1
    raise Limited


def generator():
    sent = yield 1
    yield sent
    raise Limited


class Called:
    async def __call__(self):
        raise Limited


def kind(function):
    """A name for a test, the same in every process."""
    return getattr(function, "__name__", type(function).__name__)


WRONG_FOR_BLOCKING = [
    coroutine,
    async_generator,
    functools.partial(coroutine),
    Called(),
    Called,
    7,
]


@pytest.mark.parametrize("function", WRONG_FOR_BLOCKING, ids=kind)
def test_the_blocking_face_refuses_what_it_cannot_guard(blocking, function):
    with pytest.raises(ConfigurationError, match="Breaker guards a function"):
        blocking(function)


@pytest.mark.parametrize("function", [limited, generator, Called, 7], ids=kind)
async def test_the_awaited_face_refuses_what_it_cannot_guard(awaited, function):
    with pytest.raises(ConfigurationError, match="AsyncBreaker guards a coroutine function"):
        awaited(function)


def test_what_begins_after_the_guard_has_ended_is_refused(blocking):
    for begin in (coroutine, generator):

        def lazy(begin=begin):
            return begin()

        with pytest.raises(ConfigurationError, match="runs after the guard"):
            blocking(lazy)()


def test_a_generator_is_guarded_for_as_long_as_it_runs(blocking):
    run = blocking(generator)()
    assert next(run) == 1
    assert run.send("x") == "x"
    assert counted(blocking) == 0
    with pytest.raises(Limited):
        next(run)
    assert counted(blocking) == 1


async def test_an_async_generator_is_guarded_for_as_long_as_it_runs(awaited):
    run = awaited(async_generator)()
    assert await anext(run) == 1
    with pytest.raises(Limited):
        await anext(run)
    assert (await awaited.status()).rate_limit_errors == 1


async def test_an_async_generator_that_is_left_ends(awaited):
    ended = []

    async def generate():
        try:
            yield 1
        finally:
            ended.append(True)

    run = awaited(generate)()
    assert await anext(run) == 1
    await run.aclose()
    assert ended == [True]


def test_methods_are_guarded_too(blocking):
    class Client:
        @blocking
        def call(self):
            raise Limited

        @blocking
        @staticmethod
        def plain():
            raise Limited

        @blocking
        @classmethod
        def of_class(cls):
            raise Limited

    for call in (Client().call, Client.plain, Client.of_class):
        with pytest.raises(Limited):
            call()
    assert counted(blocking) == 3


async def test_a_callable_object_is_guarded(awaited):
    with pytest.raises(Limited):
        await awaited(Called())()
    assert (await awaited.status()).rate_limit_errors == 1


# -- who is who


@pytest.mark.parametrize("kind", [Breaker, AsyncBreaker])
def test_a_breaker_travels_to_another_process(kind, url, name):
    breaker = kind(name, url=url, push=False, threshold=3, worker="w7", prefix="p")
    again = pickle.loads(pickle.dumps(breaker))
    assert type(again) is kind
    assert (again.name, again._asker.worker, again._watch) == (name, "w7", None)
    assert again._asker.keys == breaker._asker.keys
    assert again._asker.settings == breaker._asker.settings
    assert again._store.target == breaker._store.target


def test_two_containers_are_two_workers(monkeypatch, url, name):
    """They may share the host's name, and each have its worker as process 1."""
    monkeypatch.setattr("socket.gethostname", lambda: "node-7")
    monkeypatch.setattr("os.getpid", lambda: 1)
    names = {Breaker(name, url=url, push=False)._asker.worker for _ in range(5)}
    assert len(names) == 5
    assert all(one.startswith("node-7:1:") for one in names)


def say_worker(breakers, send):
    send.send([breaker._asker.worker for breaker in breakers])


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_forked_children_are_workers_of_their_own(url, name):
    fork = multiprocessing.get_context("fork")
    own, given = Breaker(name, url=url), Breaker(name, url=url, worker="w1")
    names = [own._asker.worker]
    for _ in range(2):
        receive, send = fork.Pipe(duplex=False)
        child = fork.Process(target=say_worker, args=([own, given], send), daemon=True)
        child.start()
        assert receive.poll(timeout=30)
        mine, theirs = receive.recv()
        child.join(timeout=20)
        assert theirs == "w1"
        names.append(mine)
    assert len(set(names)) == 3


def test_a_task_group_may_share_a_breaker_but_not_a_guard(url, name):
    async def run():
        async with AsyncBreaker(name, url=url, push=False, threshold=9) as breaker:
            guard = breaker.guard()

            async def job():
                async with guard:
                    await asyncio.sleep(0)
                    raise Limited

            ended = await asyncio.gather(*(job() for _ in range(3)), return_exceptions=True)
            return [type(one) for one in ended], (await breaker.status()).rate_limit_errors

    kinds, errors = asyncio.run(run())
    assert sorted(kind.__name__ for kind in kinds) == [
        "ConfigurationError",
        "ConfigurationError",
        "Limited",
    ]
    assert errors == 1
