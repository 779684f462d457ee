"""Priorities that no request will have, because a decorator hides them from routes."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from types import FunctionType
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from svcready.resilience._limiting._inbound_means import DeclaredRoute

__all__ = ["MARK", "lost_marks", "mark", "marked"]

MARK = "__svcready_priority__"
"""The attribute of a function that has a priority."""
_MOST = 64
_ABOVE: WeakKeyDictionary[object, str] = WeakKeyDictionary()
"""The priorities of what wraps a function, by that function."""
_declared = False


def mark(function: object, name: str) -> None:
    """Give a function a priority, and remember it for what the function wraps."""
    global _declared  # noqa: PLW0603 - without any, no application is asked
    _declared = True
    setattr(function, MARK, name)
    for below in _wrapped(function):
        if marked(below) is None:
            with suppress(TypeError):  # some objects can't be referred to weakly
                _ABOVE[below] = name


def marked(endpoint: object) -> str | None:
    """Return the priority of a function, or of the class that it stands for."""
    found: str | None = getattr(endpoint, MARK, None)
    if found is None:  # Django's and Flask's `as_view`
        found = getattr(getattr(endpoint, "view_class", None), MARK, None)

    return found


def lost_marks(routes: Callable[[], Iterable[DeclaredRoute]]) -> Iterator[str]:
    """
    Yield what is wrong with priorities.

    Args:
        routes: Tells all routes; none where they are not known.
    """
    if not _declared:
        return

    endpoints = [route.endpoint for route in routes()]
    served = set(map(id, endpoints))
    for endpoint in dict.fromkeys(filter(callable, endpoints)):
        if marked(endpoint) is not None:
            continue

        for function in (endpoint, *_beneath(endpoint)):
            if function is not endpoint and id(function) in served:
                continue  # it has a route of its own, and only helps with this one

            name = marked(function) or _above(function)
            if name is not None:
                yield _advice(function, name)
                break


def _advice(function: object, name: str) -> str:
    what = f"{getattr(function, '__module__', '?')}."
    what += getattr(function, "__qualname__", type(function).__name__)
    return (
        f"priority {name!r} of {what} has no effect: its route does not see it through "
        f"another decorator; write @svcready.priority({name!r}) directly below the "
        "decorator that makes the route"
    )


def _above(function: object) -> str | None:
    try:
        return _ABOVE.get(function)
    except TypeError:
        return None


def _wrapped(function: object) -> Iterator[object]:
    """Yield what a function wraps, as `functools.wraps` tells."""
    for _ in range(_MOST):
        function = getattr(function, "__wrapped__", None)
        if function is None:
            return

        yield function


def _beneath(function: object) -> Iterator[object]:
    """Yield every function that is within another: wrapped, bound or enclosed."""
    seen, left = {id(function)}, [function]
    while left and len(seen) < _MOST:
        outer = left.pop()
        inner = [getattr(outer, "__wrapped__", None), getattr(outer, "__func__", None)]
        if isinstance(outer, partial):
            inner.append(outer.func)

        for cell in getattr(outer, "__closure__", None) or ():
            with suppress(ValueError):  # not filled yet
                inner.append(cell.cell_contents)

        for one in inner:
            if isinstance(one, FunctionType | partial) and id(one) not in seen:
                seen.add(id(one))
                left.append(one)
                yield one
