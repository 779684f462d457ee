"""The wrappers that bound the way to a stream's first item in time."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from svcready.resilience._layering._streams import going_on, relayed_async
from svcready.resilience._timing._scope import Scope

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator

    from svcready.resilience._timing._timer import Timer

    Call = Callable[..., object]
    Stream = Generator[object, object, object]
    AsyncStream = AsyncGenerator[object, object]

__all__ = ["stream", "stream_async"]


def stream(timer: Timer, call: Call) -> Call:
    """Return the generator function *call*, whose first item nothing interrupts."""
    begin = cast("Callable[..., Stream]", call)

    def wrapper(*args: object, **kwargs: object) -> Stream:
        scope = Scope(timer)
        scope.enter()
        try:
            made = begin(*args, **kwargs)
            item = next(made)
        except StopIteration as stop:
            scope.leave()
            return stop.value
        except BaseException as error:
            scope.leave(error)
            raise

        scope.leave()
        return (yield from going_on(made, item))

    return wrapper


def stream_async(timer: Timer, call: Call) -> Call:
    """Return the async generator function *call*, cancelled before its first item."""
    begin = cast("Callable[..., AsyncStream]", call)

    async def first(made: AsyncStream) -> object:
        scope = Scope(timer)
        scope.enter_async()
        try:
            item = await anext(made)
        except StopAsyncIteration:
            scope.leave()
            raise
        except BaseException as error:
            failed = scope.leave(error)
            if failed is None:
                raise

            raise failed from error

        scope.leave()
        return item

    return relayed_async(begin, first)
