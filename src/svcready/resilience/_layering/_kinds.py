"""What happens when a function is called: it runs, or gives something that will."""

from __future__ import annotations

import functools
from enum import Enum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Around", "Kind", "kind_of"]

_GENERATOR, _COROUTINE, _ITERABLE_COROUTINE, _ASYNC_GENERATOR = 0x20, 0x80, 0x100, 0x200


class Kind(Enum):
    """How a function does its work."""

    PLAIN = "plain"
    """When it is called; what it returns may still be an awaitable."""
    COROUTINE = "coroutine"
    """When what it returns is awaited."""
    STREAM = "stream"
    """As items are asked for: a generator."""
    ASYNC_STREAM = "async_stream"
    """The same, awaited: an async generator."""


class Around(Protocol):
    """A policy that encloses calls instead of admitting them."""

    name: str

    def around(self, kind: Kind, call: Callable[..., object]) -> Callable[..., object]:
        """
        Return *call* with this policy around it, of the same kind.

        Args:
            kind: How *call* does its work.
            call: What the policies further in have made of the application's function.
        """
        ...


def kind_of(function: Callable[..., object]) -> Kind:
    """Tell how *function*, or the callable object that it is, does its work."""
    flags = _flags(function)
    if flags & (_COROUTINE | _ITERABLE_COROUTINE):
        return Kind.COROUTINE

    if flags & _GENERATOR:
        return Kind.STREAM

    return Kind.ASYNC_STREAM if flags & _ASYNC_GENERATOR else Kind.PLAIN


def _flags(function: Callable[..., object]) -> int:
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
