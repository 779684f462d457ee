"""Decorators that no request will meet, because routes have the function without."""

from __future__ import annotations

import sys
from contextlib import suppress
from functools import partial
from inspect import getattr_static
from types import FunctionType
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakKeyDictionary, ref

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from svcready.resilience._limiting._inbound_means import DeclaredRoute

__all__ = [
    "MARK",
    "Lost",
    "hidden",
    "limits_of",
    "mark",
    "marked",
    "note_limited",
    "noted",
]

MARK = "__svcready_priority__"
"""The attribute of a function that has a priority."""
_LIMIT, _PRIORITY = "limit", "priority"
_MOST = 64


class _Above(NamedTuple):
    """A decorator above a function, which a route may have without it."""

    kind: str
    """`limit` or `priority`."""
    name: str
    """The limit's name, or the class."""
    outer: ref[object]
    """What is decorated so; dead: no route has it."""


class Lost(NamedTuple):
    """A decorator that no request will meet."""

    text: str
    """What is wrong, and what to do."""
    is_sure: bool
    """Whether it was meant for the route; else it may be on a copy for another use."""


_ABOVE: WeakKeyDictionary[object, list[_Above]] = WeakKeyDictionary()
_noted = 0


def noted() -> int:
    """Return how many decorators there were so far."""
    return _noted


def note_limited(function: object, wrapper: object, name: str) -> None:
    """Take note that *wrapper* is *function* behind the limit *name*."""
    with suppress(TypeError):  # some objects can't be referred to weakly
        _note(_Above(_LIMIT, name, ref(wrapper)), function)


def mark(function: object, name: str) -> None:
    """Give a function a priority, and remember it for what the function wraps."""
    setattr(function, MARK, name)
    with suppress(TypeError):
        _note(_Above(_PRIORITY, name, ref(function)), _inner(function))


def marked(endpoint: object) -> str | None:
    """Return the priority of a function, or of the class that it stands for."""
    found: str | None = getattr(endpoint, MARK, None)
    if found is None:  # Django's and Flask's `as_view`
        found = getattr(getattr(endpoint, "view_class", None), MARK, None)

    return found


def limits_of(endpoint: object) -> set[str]:
    """Return the limits that are on a route's function, by name."""
    chain = list(_chain(endpoint))
    served = {id(one) for one in chain}
    found: set[str] = set()
    for function in chain:
        with suppress(TypeError):  # not hashable, or of no weak references
            for above in _ABOVE.get(function, ()):
                if above.kind == _LIMIT and id(above.outer()) in served:
                    found.add(above.name)

    return found


def hidden(routes: Sequence[DeclaredRoute]) -> Iterator[Lost]:
    """Yield what is wrong with decorators of functions that *routes* have."""
    if not _noted:
        return

    own = {id(route.endpoint) for route in routes}
    served = {id(one) for route in routes for one in _chain(route.endpoint)}
    for route in routes:
        yield from _lost_limits(route, served)

    for endpoint in {id(route.endpoint): route.endpoint for route in routes}.values():
        if callable(endpoint) and marked(endpoint) is None:
            yield from _lost_marks(endpoint, own, served)


def _lost_limits(route: DeclaredRoute, served: set[int]) -> Iterator[Lost]:
    called = getattr(route.endpoint, "__qualname__", "the function")
    for name, is_sure in _passed_by(route.endpoint, _LIMIT, served).items():
        if is_sure:
            text = (
                f"limit {name} on {called} does not hold for the route "
                f"{route.template}: it is written above the route's decorator, which "
                f"has the function without it; put @svcready.limit(...) below"
            )
        else:
            text = (
                f"limit {name} on {called} may not hold for the route "
                f"{route.template}, which has the function without it: if it is "
                "written above the route's decorator, put @svcready.limit(...) below"
            )

        yield Lost(text, is_sure)


def _lost_marks(endpoint: object, own: set[int], served: set[int]) -> Iterator[Lost]:
    for function in (endpoint, *_beneath(endpoint)):
        if function is not endpoint and id(function) in own:
            continue  # it has a route of its own, and only helps with this one

        name, is_sure = marked(function), True
        if name is None:
            passed_by = _passed_by(function, _PRIORITY, served)
            name, is_sure = next(iter(passed_by.items()), (None, True))

        if name is not None:
            what = f"{getattr(function, '__module__', '?')}."
            what += getattr(function, "__qualname__", type(function).__name__)
            has = "has" if is_sure else "may have"
            text = (
                f"priority {name!r} of {what} {has} no effect: its route does not see "
                f"it through another decorator; write @svcready.priority({name!r}) "
                "directly below the decorator that makes the route"
            )
            yield Lost(text, is_sure)
            return


def _passed_by(function: object, kind: str, served: set[int]) -> dict[str, bool]:
    """Return what is above *function* alone, by name, and whether that is sure."""
    found: dict[str, bool] = {}
    with suppress(TypeError):  # not hashable, or of no weak references
        for one in _ABOVE.get(function, ()):
            outer = one.outer()
            if one.kind != kind or (outer is not None and id(outer) in served):
                continue

            is_above = _is_above(function, outer)
            if is_above is not False:
                found[one.name] = found.get(one.name, False) or is_above is True

    return found


def _is_above(function: object, outer: object) -> bool | None:
    """
    Return whether *outer* is made by a decorator above *function*, and no copy.

    A decorator has the function's own name stand for what it returns.

    Args:
        function: What a route has.
        outer: What is around it; None: it is gone.

    Returns:
        None where the name tells nothing: in a function, deleted, or given again.
    """
    named: object = sys.modules.get(getattr(function, "__module__", None) or "")
    path = getattr(function, "__qualname__", None)
    if named is None or not isinstance(path, str):
        return None

    for part in path.split("."):
        named = getattr_static(named, part, None)  # runs nobody's code

    bound: set[int] = set()
    with suppress(Exception):  # a name may stand for anything by now
        bound.update(id(one) for one in _chain(named))

    if outer is not None and id(outer) in bound:
        return True

    return False if id(function) in bound else None


def _note(above: _Above, inner: object) -> None:
    global _noted  # noqa: PLW0603 - without any, no application is asked
    _noted += 1
    for below in _chain(inner):
        with suppress(TypeError):
            known = _ABOVE.get(below, ())
            # Of one thing decorated again and again the last is kept, if it is gone.
            _ABOVE[below] = [*(one for one in known if _is_kept(one, above)), above]


def _is_kept(known: _Above, new: _Above) -> bool:
    return known.outer() is not None or known[:2] != new[:2]


def _inner(function: object) -> object:
    return getattr(function, "__wrapped__", None)


def _chain(function: object) -> Iterator[object]:
    """Yield a function and what it is around, as `functools.wraps` tells."""
    for _ in range(_MOST):
        if function is None:
            return

        yield function
        function = _inner(function)


def _beneath(function: object) -> Iterator[object]:
    """Yield every function that is within another: wrapped, bound or enclosed."""
    seen, left = {id(function)}, [function]
    while left and len(seen) < _MOST:
        outer = left.pop()
        inner = [_inner(outer), getattr(outer, "__func__", None)]
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
