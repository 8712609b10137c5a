"""One suite for both faces: every test drives a face by its name and its arguments alone."""

import asyncio
import inspect
from typing import Any

import pytest

from breaker import AsyncBreaker, Breaker
from tests.contract.waiting import eventually


class Face:
    """Calls a breaker, sync or async, as if it were sync."""

    def __init__(self, kind: str, *, push: bool) -> None:
        self.push = push
        self._loop = asyncio.new_event_loop() if kind == "async" else None
        self._made: list[Any] = []

    def breaker(self, name: str, **given: Any) -> "Called":
        made = (Breaker if self._loop is None else AsyncBreaker)(
            name, **{"push": self.push, **given}
        )
        self._made.append(made)
        if self.push and given.get("push", True):
            made._watch._pump.wake(is_wanted=True)
            eventually(lambda: made._watch.staleness is not None and made._watch.last)
        return Called(self, made)

    def finish(self, result: Any) -> Any:
        if inspect.isawaitable(result):
            result = self._loop.run_until_complete(result)
        return Called(self, result) if hasattr(result, "rate_limited") else result

    def guarded(self, breaker: "Called", body: Any, **given: Any) -> None:
        """Run a body under the guard."""
        self.within(breaker.inner.guard(**given), lambda _: body())

    def within(self, guard: Any, body: Any) -> None:
        """Run a body, which is given the permit, within a guard that is at hand.

        A body that calls the breaker is a generator, which yields its calls.
        """
        if self._loop is None:
            with guard as permit:
                self.steps(body(permit))
            return

        async def run() -> None:
            async with guard as permit:
                await self._awaited(body(permit))

        self._loop.run_until_complete(run())

    def steps(self, body: Any) -> None:
        """Make the calls that a body yields."""
        if self._loop is not None:
            self._loop.run_until_complete(self._awaited(body))
        elif inspect.isgenerator(body):
            for call in body:
                assert not inspect.isawaitable(call)

    async def _awaited(self, body: Any) -> None:
        calls: Any = body if inspect.isgenerator(body) else ()
        for call in calls:
            await call

    def nested(self, breaker: "Called", body: Any, **given: Any) -> None:
        """Run a body in a guard inside of a guard."""
        if self._loop is None:
            with breaker.inner.guard(), breaker.inner.guard(**given):
                body()
            return

        async def run() -> None:
            async with breaker.inner.guard(), breaker.inner.guard(**given):
                body()

        self._loop.run_until_complete(run())

    def work(self, breaker: "Called", *calls: Any, on_error: Any = None) -> None:
        """Run the loop; for the awaited face the functions become coroutine functions."""
        if self._loop is None:
            breaker.inner.work(*calls, on_error)
            return

        def awaited(call: Any) -> Any:
            async def waiting(*args: Any) -> Any:
                return call(*args)

            return waiting

        calls = tuple(map(awaited, calls))
        self._loop.run_until_complete(
            breaker.inner.work(*calls, on_error and awaited(on_error))
        )

    def decorated(self, breaker: "Called", body: Any) -> Any:
        """The function, decorated with the breaker, as a sync function."""
        if self._loop is None:
            return breaker.inner(body)

        async def work(*args: Any) -> Any:
            return body(*args)

        wrapped = breaker.inner(work)
        return lambda *args: self._loop.run_until_complete(wrapped(*args))

    def close(self) -> None:
        for made in self._made:
            self.finish(made.close())
        if self._loop:
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
            self._loop.close()


class Called:
    """A breaker or a permit whose methods return their results."""

    def __init__(self, face: Face, inner: Any) -> None:
        self.face = face
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.inner, name)
        if not callable(found):
            return found
        return lambda *args, **given: self.face.finish(found(*args, **given))


@pytest.fixture(params=["sync strict", "sync pushed", "async strict", "async pushed"])
def face(request):
    kind, _, how = request.param.partition(" ")
    made = Face(kind, push=how == "pushed")
    yield made
    made.close()


@pytest.fixture
def make(face, name, url):
    """Make a breaker of this test's name; short times unless said otherwise."""

    def make_breaker(**given: Any) -> Called:
        return face.breaker(given.pop("name", name), **{"url": url, "worker": "w1", **given})

    return make_breaker


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """A machine that runs other things meanwhile is not an outage: tests/faults has those."""
    monkeypatch.setattr("breaker.store.connect.TIMEOUT", 2.0)
