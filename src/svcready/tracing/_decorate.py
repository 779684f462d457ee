"""Functions of every kind with a span around their calls."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, cast

from svcready._core.declarations import name_of
from svcready.errors import DeclarationError
from svcready.tracing._backend import CELL, NO_SPAN

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Mapping

    Function = Callable[..., object]
    Task = Coroutine[object, object, object]
    Steps = Generator[object, object, object]
    AsyncSteps = AsyncGenerator[object, object]

__all__ = ["decorated", "is_coroutine_function"]

# The flags of a code object, which `inspect` would read; importing it costs 10 ms.
_GENERATOR = 0x20
_COROUTINE = 0x80 | 0x100
_ASYNC_GENERATOR = 0x200


def decorated(
    function: object, name: str | None, attributes: Mapping[str, object]
) -> Function:
    """
    Return *function* with a span around each call.

    Args:
        function: A function, coroutine function, generator function of either kind,
            `staticmethod`, `classmethod`, or any callable object.
        name: The span's name; the function's own if None.
        attributes: What each span starts with.

    Raises:
        DeclarationError: *function* is none of these.
    """
    if isinstance(function, staticmethod | classmethod):
        inner = decorated(function.__func__, name, attributes)
        return cast("Function", type(function)(inner))

    if not callable(function):
        raise DeclarationError(f"span: {function!r} is not a function")

    flags = _code_flags(function)
    if flags & _ASYNC_GENERATOR:
        wrap = _async_generator
    elif flags & _COROUTINE:
        wrap = _coroutine
    else:
        wrap = _generator if flags & _GENERATOR else _plain

    return wrap(function, name or _name_of(function), attributes)


def is_coroutine_function(function: Function) -> bool:
    """Tell whether calling *function* gives a coroutine."""
    return bool(_code_flags(function) & _COROUTINE)


def _plain(function: Function, name: str, attributes: Mapping[str, object]) -> Function:
    @wraps(function)
    def call(*args: object, **kwargs: object) -> object:
        backend = CELL.backend
        opened = None if backend is None else backend.open(name, attributes)
        if opened is None:
            return function(*args, **kwargs)

        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            opened.close(error)
            raise

        opened.close(None)
        return result

    return call


def _coroutine(
    function: Function, name: str, attributes: Mapping[str, object]
) -> Function:
    @wraps(function)
    async def call(*args: object, **kwargs: object) -> object:
        backend = CELL.backend
        opened = None if backend is None else backend.open(name, attributes)
        if opened is None:
            return await cast("Task", function(*args, **kwargs))

        try:
            result = await cast("Task", function(*args, **kwargs))
        except BaseException as error:
            opened.close(error)
            raise

        opened.close(None)
        return result

    return call


def _generator(
    function: Function, name: str, attributes: Mapping[str, object]
) -> Function:
    @wraps(function)
    def call(*args: object, **kwargs: object) -> Steps:
        steps = cast("Steps", function(*args, **kwargs))
        backend = CELL.backend
        opened = None if backend is None else backend.start(name, attributes)
        if opened is None:
            return (yield from steps)

        resume: Callable[..., object] = steps.send
        argument: object = None
        try:
            while True:
                token = opened.enter()  # current only while the body runs
                try:
                    value = resume(argument)
                finally:
                    opened.leave(token)

                try:
                    argument = yield value
                    resume = steps.send
                except GeneratorExit:
                    steps.close()
                    raise
                except BaseException as error:  # noqa: BLE001 - it is the body's
                    resume, argument = steps.throw, error
        except StopIteration as end:
            opened.close(None)
            return end.value
        except BaseException as error:
            opened.close(error)
            raise

    return call


def _async_generator(
    function: Function, name: str, attributes: Mapping[str, object]
) -> Function:
    @wraps(function)
    async def call(*args: object, **kwargs: object) -> AsyncSteps:
        steps = cast("AsyncSteps", function(*args, **kwargs))
        backend = CELL.backend
        opened = None if backend is None else backend.start(name, attributes)
        opened = opened or NO_SPAN
        resume: Callable[..., object] = steps.asend
        argument: object = None
        try:
            while True:
                token = opened.enter()
                try:
                    value = await cast("Task", resume(argument))
                finally:
                    opened.leave(token)

                try:
                    argument = yield value
                    resume = steps.asend
                except GeneratorExit:
                    await steps.aclose()
                    raise
                except BaseException as error:  # noqa: BLE001 - it is the body's
                    resume, argument = steps.athrow, error
        except StopAsyncIteration:
            opened.close(None)
        except BaseException as error:
            opened.close(error)
            raise

    return call


def _name_of(function: Function) -> str:
    function = getattr(function, "func", function)  # functools.partial
    qualname = getattr(function, "__qualname__", None)
    if qualname is None:
        return name_of(function)

    return str(qualname).replace("<locals>.", "")


def _code_flags(function: Function) -> int:
    function = getattr(function, "func", function)  # functools.partial
    function = getattr(function, "__func__", function)  # a bound method
    code = getattr(function, "__code__", None)
    if code is None:  # an object with __call__
        code = getattr(type(function).__call__, "__code__", None)

    flags: int = getattr(code, "co_flags", 0)
    if hasattr(function, "_is_coroutine_mark"):  # inspect.markcoroutinefunction
        flags |= _COROUTINE

    return flags
