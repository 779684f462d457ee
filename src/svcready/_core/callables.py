"""What runs when a callable is called, asked once when it is decorated."""

from __future__ import annotations

from functools import partial
from types import MethodType
from typing import Literal

__all__ = ["Kind", "kind_of"]

Kind = Literal["function", "coroutine", "generator", "async generator"]

_GENERATOR, _COROUTINE, _ITERABLE_COROUTINE, _ASYNC_GENERATOR = 0x20, 0x80, 0x100, 0x200


def kind_of(function: object) -> Kind:
    """
    Return what a call of *function* makes, without loading `inspect`.

    Args:
        function: A function, method, partial or callable object.

    Returns:
        `function` for whatever runs within the call itself.
    """
    flags = _flags(function)
    if flags & (_COROUTINE | _ITERABLE_COROUTINE):
        return "coroutine"

    if flags & _ASYNC_GENERATOR:
        return "async generator"

    return "generator" if flags & _GENERATOR else "function"


def _flags(function: object) -> int:
    while not hasattr(function, "__code__"):
        if isinstance(function, partial):
            function = function.func
        elif isinstance(function, MethodType):  # of what is no function itself
            function = function.__func__
        else:
            call = getattr(type(function), "__call__", None)  # noqa: B004
            if not hasattr(call, "__code__"):
                return 0

            function = call

    marked = getattr(function, "_is_coroutine_marker", None) is not None
    if marked:  # by inspect.markcoroutinefunction
        return _COROUTINE

    flags = getattr(getattr(function, "__code__", None), "co_flags", 0)
    return flags if isinstance(flags, int) else 0
