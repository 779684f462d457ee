"""How layers enclose a call: in one order, however the decorators are written."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, cast

from svcready.errors import DeclarationError
from svcready.resilience._breaking._breaker_gate import BreakerGate
from svcready.resilience._composing._contradictions import check
from svcready.resilience._layering import _awaits, _calls, _streams
from svcready.resilience._layering._kinds import Kind, kind_of
from svcready.resilience._layering._signatures import sign
from svcready.resilience._retrying._nested import found

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import FunctionType

    from svcready.resilience._admitting._compartment import Compartment
    from svcready.resilience._breaking._breaker import Breaker
    from svcready.resilience._layering._gate import Gate
    from svcready.resilience._layering._kinds import Around
    from svcready.resilience._retrying._retrier import Retrier
    from svcready.resilience._standing_in._fallback_core import FallbackCore
    from svcready.resilience._timing._timer import DeadlineTimer, Timer

    Call: TypeAlias = Callable[..., object]
    Layer: TypeAlias = Retrier | Breaker | Gate | Around

__all__ = [
    "BREAKER",
    "BULKHEAD",
    "DEADLINE",
    "FALLBACK",
    "HEDGE",
    "LIMIT",
    "RATE",
    "RETRY",
    "THROTTLE",
    "TIMEOUT",
    "apply_layer",
    "apply_layers",
    "compiled",
    "dressed",
    "gates_of",
    "lease_probes",
    "once",
]

# Ranks from the outside in.
LIMIT = 5
FALLBACK = 10
DEADLINE = 20
RETRY = 30
HEDGE = 31
THROTTLE = 35
BULKHEAD = 40
BREAKER = 50
RATE = 60
TIMEOUT = 70

_PLAN = "__svcready_plan__"
_MOST_WRAPPERS = 32
_ADMITTING = {THROTTLE, BULKHEAD, RATE}
_LIGHT = {DEADLINE, TIMEOUT, HEDGE}


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
    """Return *function* with one more layer around it, as `apply_layers` does."""
    return apply_layers(function, layer.name, {rank: layer})


def apply_layers(function: Call, name: str, layers: Mapping[int, Layer]) -> Call:
    """
    Return *function* with layers around it.

    A wrapper that has layers of the same name is made anew with these in their places
    among them; around anything else they go as written.

    Args:
        function: Any callable, or a staticmethod or classmethod object.
        name: The layers' name.
        layers: By rank, their places in the order.

    Raises:
        DeclarationError: It is nothing that can be wrapped, or the layers' numbers
            contradict each other.
    """
    if isinstance(function, staticmethod | classmethod):
        inner = apply_layers(function.__func__, name, layers)
        return cast("Call", type(function)(inner))

    if isinstance(function, type) or not callable(function):
        raise DeclarationError(
            f"{name}: {function!r} is no function; decorate the function, and "
            "place @property and the like above"
        )

    plan: _Plan | None = getattr(function, "__dict__", {}).get(_PLAN)
    if plan is not None and plan.wrapper is function and plan.name == name:
        function = plan.function
        layers = {**plan.layers, **layers}

    if RETRY in layers and HEDGE in layers:
        raise DeclarationError(
            f"{name!r} has both retry and hedge: a hedge makes the further attempts "
            "itself, those after a failure by on=..."
        )

    if FALLBACK in layers:
        cast("FallbackCore", layers[FALLBACK]).check(function)

    check(name, later=True)
    _look_for_retries(function, name, layers)
    lease_probes(layers)
    wrapper = dressed(compiled(function, layers), function)
    setattr(wrapper, _PLAN, _Plan(wrapper, name, function, layers))
    return wrapper


def lease_probes(layers: Mapping[int, Layer]) -> None:
    """Have a probe of the breaker's be lost only after twice an attempt's time-out."""
    if BREAKER in layers and TIMEOUT in layers:
        timer = cast("Timer", layers[TIMEOUT])
        cast("Breaker", layers[BREAKER]).least_lease_s = timer.twice_s


def _look_for_retries(function: Call, name: str, layers: Mapping[int, Layer]) -> None:
    """Tell of retries in *function* that another name has put there."""
    outer = cast("Retrier | None", layers.get(RETRY))
    if outer is None or outer.nested:
        return

    inside: Call | None = function
    for _ in range(_MOST_WRAPPERS):
        plan: _Plan | None = getattr(inside, "__dict__", {}).get(_PLAN)
        if plan is not None and RETRY in plan.layers and plan.name != name:
            found(name, plan.name)

        inside = getattr(inside, "__wrapped__", None)
        if inside is None:
            return


def dressed(wrapper: Call, function: Call) -> Call:
    """Return *wrapper* with the name, signature and attributes of *function*."""
    if hasattr(function, "__code__"):
        functools.update_wrapper(wrapper, function)
        sign(wrapper, cast("FunctionType", function))
        return wrapper

    # An object's attributes are its own business.
    return functools.update_wrapper(wrapper, function, updated=())


_FUSED = {RETRY, BREAKER}
_APART = {LIMIT, HEDGE, THROTTLE, RATE}


def once(function: Call, layers: Mapping[int, Layer]) -> Call:
    """Return what does what *layers* say for one call, soon made and soon gone."""
    return _long(function, kind_of(function), layers)


def compiled(function: Call, layers: Mapping[int, Layer]) -> Call:
    """Return one closure, or as few as can be, that does what *layers* say."""
    kind = kind_of(function)
    if _is_whole(layers, kind):
        return _around(layers, kind, _short(function, kind, layers), (FALLBACK,))

    return _long(function, kind, layers)


def _is_whole(layers: Mapping[int, Layer], kind: Kind) -> bool:
    """Return whether *layers* have a short way, which calls that succeed take."""
    if kind not in {Kind.PLAIN, Kind.COROUTINE} or not layers.keys() >= _FUSED:
        return False

    if layers.keys() & _APART:
        return False

    if BULKHEAD in layers and not hasattr(layers[BULKHEAD], "at_once"):
        return False  # a gate of somebody else's in its place

    timer = cast("Timer | None", layers.get(TIMEOUT))
    threads = kind is Kind.PLAIN and timer is not None and timer.pool is not None
    return not threads and bool(layers.keys() & {TIMEOUT, DEADLINE})


def _short(function: Call, kind: Kind, layers: Mapping[int, Layer]) -> Call:
    """Return *function* in a policy whose calls that succeed take a short way."""
    from svcready.resilience._layering import _whole_ways
    from svcready.resilience._layering._whole import Whole

    inside = {rank: layers[rank] for rank in layers if rank != FALLBACK}
    attempt = {rank: layers[rank] for rank in inside if rank > HEDGE}
    whole = Whole(
        cast("Retrier", layers[RETRY]),
        cast("Breaker", layers[BREAKER]),
        cast("Compartment | None", layers.get(BULKHEAD)),
        cast("Timer | None", layers.get(TIMEOUT)),
        cast("Timer | None", layers.get(DEADLINE)),
        call=function,
        general=lambda call: _long(call, kind, inside),
        inner=lambda call: _long(call, kind, attempt),
    )
    way = _whole_ways.plain if kind is Kind.PLAIN else _whole_ways.coroutine
    return way(whole)


def _long(function: Call, kind: Kind, layers: Mapping[int, Layer]) -> Call:
    """Return *function* with one layer in the other, each of its own."""
    retrier = cast("Retrier | None", layers.get(RETRY))
    breaker = cast("Breaker | None", layers.get(BREAKER))
    call = _around(layers, kind, function, (TIMEOUT,))
    fuses = not layers.keys() & _ADMITTING
    if fuses and kind is Kind.COROUTINE:
        call = _coroutine(cast("_awaits.AsyncCall", call), retrier, breaker)
    elif fuses and kind is Kind.PLAIN:
        call = _plain(call, retrier, breaker)
    else:
        gates = gates_of(layers)
        if gates:
            call = _GATED[kind](gates, call)

        if retrier is not None:
            call = _RETRIED[kind](retrier, call)

    if kind is Kind.COROUTINE and layers.keys() & _LIGHT == {DEADLINE, TIMEOUT}:
        deadline = cast("DeadlineTimer", layers[DEADLINE])
        call = deadline.around_attempts(cast("Timer", layers[TIMEOUT]), call)
        call = _around(layers, kind, call, (FALLBACK,))
    else:
        call = _around(layers, kind, call, (HEDGE, DEADLINE, FALLBACK))

    limit = cast("Gate | None", layers.get(LIMIT))
    return call if limit is None else _GATED[kind]((limit,), call)


def _around(
    layers: Mapping[int, Layer], kind: Kind, call: Call, ranks: tuple[int, ...]
) -> Call:
    """Return *call* in what encloses it, *ranks* being from the inside out."""
    for rank in ranks:
        if rank in layers:
            call = cast("Around", layers[rank]).around(kind, call)

    return call


def gates_of(layers: Mapping[int, Layer]) -> tuple[Gate, ...]:
    """Return what admits an attempt, from the outside in."""
    found = []
    for rank in (THROTTLE, BULKHEAD, BREAKER, RATE):
        layer = layers.get(rank)
        if rank == BREAKER and layer is not None:
            found.append(BreakerGate(cast("Breaker", layer)))
        elif layer is not None:
            found.append(cast("Gate", layer))  # type: ignore[arg-type]

    return tuple(found)


def _plain(function: Call, retrier: Retrier | None, breaker: Breaker | None) -> Call:
    call = function if breaker is None else _calls.guarded(breaker, function)
    if retrier is None:
        return call

    if breaker is None:
        return _calls.retried(retrier, call)

    return _calls.fused(retrier, breaker, function, call)


def _coroutine(
    function: _awaits.AsyncCall, retrier: Retrier | None, breaker: Breaker | None
) -> Call:
    call = function if breaker is None else _awaits.guarded(breaker, function)
    if retrier is None:
        return call

    if breaker is None:
        return _awaits.retried(retrier, call)

    return _awaits.fused(retrier, breaker, function, call)


_GATED: Mapping[Kind, Callable[..., Call]] = {
    Kind.PLAIN: _calls.gated,
    Kind.COROUTINE: _awaits.gated,
    Kind.STREAM: _streams.guarded,
    Kind.ASYNC_STREAM: _streams.guarded_async,
}
_RETRIED: Mapping[Kind, Callable[..., Call]] = {
    Kind.PLAIN: _calls.retried,
    Kind.COROUTINE: _awaits.retried,
    Kind.STREAM: _streams.retried,
    Kind.ASYNC_STREAM: _streams.retried_async,
}
