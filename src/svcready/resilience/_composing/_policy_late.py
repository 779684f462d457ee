"""Functions decorated by a policy's name before the policy itself is declared."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from svcready.resilience._layering._kinds import Kind, kind_of
from svcready.resilience._layering._layers import apply_layers, compiled, dressed
from svcready.resilience._layering._streams import relayed_async

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator

    from svcready.resilience._composing._policy import Plan

    Call = Callable[..., object]

__all__ = ["late"]


def late(plan: Plan, function: Call) -> Call:
    """
    Return *function* under a policy whose parts are looked up at the first call.

    Args:
        plan: The policy, which somebody declares until then.
        function: Any callable, or a staticmethod or classmethod object.

    Raises:
        DeclarationError: It is nothing that can be wrapped.
    """
    if isinstance(function, staticmethod | classmethod):
        return cast("Call", type(function)(late(plan, function.__func__)))

    apply_layers(function, plan.name, {})  # says now what can't be decorated
    made: list[Call] = []

    def call() -> Call:
        if not made:
            made.append(compiled(function, plan.layers))

        return made[0]

    return dressed(_WRAPPERS[kind_of(function)](call), function)


def _plain(call: Callable[[], Call]) -> Call:
    def wrapper(*args: object, **kwargs: object) -> object:
        return call()(*args, **kwargs)

    return wrapper


def _coroutine(call: Callable[[], Call]) -> Call:
    async def wrapper(*args: object, **kwargs: object) -> object:
        return await cast("Awaitable[object]", call()(*args, **kwargs))

    return wrapper


def _stream(call: Callable[[], Call]) -> Call:
    def wrapper(*args: object, **kwargs: object) -> Generator[object, object, object]:
        made = cast("Generator[object, object, object]", call()(*args, **kwargs))
        return (yield from made)

    return wrapper


def _async_stream(call: Callable[[], Call]) -> Call:
    def begin(*args: object, **kwargs: object) -> AsyncGenerator[object, object]:
        return cast("AsyncGenerator[object, object]", call()(*args, **kwargs))

    return relayed_async(begin)


_WRAPPERS: dict[Kind, Callable[[Callable[[], Call]], Call]] = {
    Kind.PLAIN: _plain,
    Kind.COROUTINE: _coroutine,
    Kind.STREAM: _stream,
    Kind.ASYNC_STREAM: _async_stream,
}
