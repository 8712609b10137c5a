"""`@breaker`: guard every call of a function, or a generator for as long as it runs.

The wrong kind of function is refused at once: a guard that ends before the job begins guards nothing.
"""

import inspect
from collections.abc import Callable
from functools import wraps
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any

from breaker.errors import ConfigurationError

# What a call returns that has not begun to run.
_LAZY = (CoroutineType, GeneratorType, AsyncGeneratorType)


def blocking(guard: Callable[[], Any], function: Any) -> Any:
    """Guard a plain function or a generator function."""
    if isinstance(function, staticmethod | classmethod):
        return type(function)(blocking(guard, function.__func__))
    kind = _kind(function)
    if kind == "generator function":

        @wraps(function)
        def generated(*args: Any, **kwargs: Any) -> Any:
            with guard():
                return (yield from function(*args, **kwargs))

        return generated
    if kind != "function":
        raise _refusal("Breaker", kind, "a function or a generator function", "AsyncBreaker")

    @wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        with guard():
            result = function(*args, **kwargs)
            if isinstance(result, _LAZY) or hasattr(result, "__await__"):
                raise _lazy(result)
            return result

    return guarded


def awaited(guard: Callable[[], Any], function: Any) -> Any:
    """Guard a coroutine function or an asynchronous generator function."""
    if isinstance(function, staticmethod | classmethod):
        return type(function)(awaited(guard, function.__func__))
    kind = _kind(function)
    if kind == "asynchronous generator function":

        @wraps(function)
        async def generated(*args: Any, **kwargs: Any) -> Any:
            async with guard():
                inner = function(*args, **kwargs)
                try:
                    sent = None
                    while True:
                        item = await inner.asend(sent)
                        sent = yield item
                except StopAsyncIteration:
                    return
                finally:
                    await inner.aclose()

        return generated
    if kind != "coroutine function":
        wanted = "a coroutine function or an asynchronous generator function"
        raise _refusal("AsyncBreaker", kind, wanted, "Breaker")

    @wraps(function)
    async def guarded(*args: Any, **kwargs: Any) -> Any:
        async with guard():
            return await function(*args, **kwargs)

    return guarded


def _kind(function: Any) -> str:
    if isinstance(function, type):
        return "class"
    if not callable(function):
        return type(function).__name__
    for one in (function, getattr(function, "__call__", None)):  # noqa: B004 - an object with one
        if inspect.isasyncgenfunction(one):
            return "asynchronous generator function"
        if inspect.iscoroutinefunction(one):
            return "coroutine function"
        if inspect.isgeneratorfunction(one):
            return "generator function"
    return "function"


def _refusal(face: str, kind: str, wanted: str, other: str) -> ConfigurationError:
    hint = f"; {other} guards a {kind}" if "function" in kind else ""
    return ConfigurationError([f"{face} guards {wanted}, not a {kind}{hint}"])


def _lazy(result: Any) -> ConfigurationError:
    if isinstance(result, CoroutineType | GeneratorType):
        result.close()
    kind = type(result).__name__
    problem = (
        f"the guarded function returned a {kind}, which runs after the guard has ended: use "
        "AsyncBreaker, or guard the function that runs it"
    )
    return ConfigurationError([problem])
