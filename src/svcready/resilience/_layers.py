"""How layers enclose a call: in one order, however the decorators are written."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, cast

from svcready.errors import DeclarationError
from svcready.resilience import _awaits, _calls, _streams

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from svcready.resilience._breaker import Breaker
    from svcready.resilience._retrier import Retrier

    Call: TypeAlias = Callable[..., object]
    Layer: TypeAlias = Retrier | Breaker

__all__ = ["BREAKER", "RETRY", "apply_layer", "compiled"]

# Ranks from the outside in, with room for what comes between.
RETRY = 30
BREAKER = 50

_PLAN = "__svcready_plan__"
_GENERATOR, _COROUTINE, _ITERABLE_COROUTINE, _ASYNC_GENERATOR = 0x20, 0x80, 0x100, 0x200


class _Plan(NamedTuple):
    """What a wrapper of ours was made of."""

    wrapper: Call
    """The wrapper itself: other decorators copy a function's attributes."""
    name: str
    """The policy's name."""
    function: Call
    """What the application wrote."""
    layers: Mapping[int, Layer]
    """By rank."""


def apply_layer(function: Call, rank: int, layer: Layer) -> Call:
    """
    Return *function* with one more layer around it.

    A wrapper that has layers of the same name is made anew with this one in its place
    among them; around anything else it goes as written.

    Args:
        function: Any callable, or a staticmethod or classmethod object.
        rank: The layer's place in the order.
        layer: The layer.

    Raises:
        DeclarationError: It is nothing that can be wrapped.
    """
    if isinstance(function, staticmethod | classmethod):
        inner = apply_layer(function.__func__, rank, layer)
        return cast("Call", type(function)(inner))

    if isinstance(function, type) or not callable(function):
        raise DeclarationError(
            f"{layer.name}: {function!r} is no function; decorate the function, and "
            "place @property and the like above"
        )

    layers = {rank: layer}
    plan: _Plan | None = getattr(function, "__dict__", {}).get(_PLAN)
    if plan is not None and plan.wrapper is function and plan.name == layer.name:
        function = plan.function
        layers = {**plan.layers, rank: layer}

    wrapper = compiled(function, layers)
    if hasattr(function, "__code__"):
        functools.update_wrapper(wrapper, function)
    else:  # an object's attributes are its own business
        functools.update_wrapper(wrapper, function, updated=())

    setattr(wrapper, _PLAN, _Plan(wrapper, layer.name, function, layers))
    return wrapper


def compiled(function: Call, layers: Mapping[int, Layer]) -> Call:
    """Return one closure that does what *layers* say around *function*."""
    flags = _flags(function)
    retrier = cast("Retrier | None", layers.get(RETRY))
    breaker = cast("Breaker | None", layers.get(BREAKER))
    if flags & (_COROUTINE | _ITERABLE_COROUTINE):
        return _async_call(function, retrier, breaker)

    if flags & _GENERATOR:
        return _stream(function, retrier, breaker)

    if flags & _ASYNC_GENERATOR:
        return _async_stream(function, retrier, breaker)

    call = function if breaker is None else _calls.guarded(breaker, function)
    if retrier is None:
        return call

    if breaker is None:
        return _calls.retried(retrier, call)

    return _calls.fused(retrier, breaker, function, call)


def _async_call(
    function: Call, retrier: Retrier | None, breaker: Breaker | None
) -> Call:
    inner = cast("_awaits.AsyncCall", function)
    call = inner if breaker is None else _awaits.guarded(breaker, inner)
    if retrier is None:
        return call

    if breaker is None:
        return _awaits.retried(retrier, call)

    return _awaits.fused(retrier, breaker, inner, call)


def _stream(function: Call, retrier: Retrier | None, breaker: Breaker | None) -> Call:
    call = cast("_streams.StreamCall", function)
    if breaker is not None:
        call = _streams.guarded(breaker, call)

    return call if retrier is None else _streams.retried(retrier, call)


def _async_stream(
    function: Call, retrier: Retrier | None, breaker: Breaker | None
) -> Call:
    call = cast("_streams.AsyncStreamCall", function)
    if breaker is not None:
        call = _streams.guarded_async(breaker, call)

    return call if retrier is None else _streams.retried_async(retrier, call)


def _flags(function: Call) -> int:
    """Return the code flags of what runs when *function* is called."""
    target: object = function
    while isinstance(target, functools.partial):
        target = target.func

    if not hasattr(target, "__code__"):
        target = getattr(target, "__func__", None) or type(target).__call__

    if getattr(target, "_is_coroutine_mark", None) is not None:
        return _COROUTINE  # inspect.markcoroutinefunction

    flags = getattr(getattr(target, "__code__", None), "co_flags", 0)
    return flags if isinstance(flags, int) else 0
