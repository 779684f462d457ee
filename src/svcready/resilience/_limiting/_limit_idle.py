"""Limits that hold for nothing: on no route, or above the route's decorator."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary, ref

from svcready.resilience._limiting._glob import Glob

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from svcready.resilience._limiting._inbound_means import DeclaredRoute
    from svcready.resilience._limiting._limit_rules import Rule

    Wrapped = WeakKeyDictionary[object, list[tuple[str, ref[object]]]]

__all__ = ["IdleLimits", "note_limited"]

_limited: Wrapped = WeakKeyDictionary()
"""By function: the limits on it, and what calls it behind each."""
_MOST_WRAPPERS = 32
_PARAMETER = re.compile(r"\{[^{}]*\}|<[^<>]*>")


def note_limited(function: object, wrapper: object, name: str) -> None:
    """Take note that *wrapper* is *function* behind the limit *name*."""
    try:
        known = _limited.get(function, ())
        alive = [one for one in known if one[1]() is not None]
        _limited[function] = [*alive, (name, ref(wrapper))]
    except TypeError:  # nothing that could be found again
        return


class IdleLimits:
    """Finds limits that hold for nothing, anew when routes or rules are others."""

    def __init__(self) -> None:
        self._of: object = None
        self._found: tuple[str, ...] = ()

    def find(
        self, rules: Sequence[Rule], routes: Sequence[DeclaredRoute]
    ) -> tuple[str, ...]:
        """
        Return what is wrong, one line each.

        Args:
            rules: The operator's.
            routes: All that there are; none: not known.
        """
        asked = (tuple(rules), tuple(routes), len(_limited))
        if asked != self._of:
            self._of = asked
            self._found = (*_unrouted(rules, routes), *_passed_by(routes))

        return self._found


def _unrouted(rules: Sequence[Rule], routes: Sequence[DeclaredRoute]) -> Iterator[str]:
    globs = {_PARAMETER.sub("*", route.template): route.template for route in routes}
    for rule in rules if routes else ():
        if rule.path == "*":
            continue

        at = [route for route in routes if Glob(rule.path).matches(route.template)]
        if any(_takes(route, rule.method) for route in at):
            continue

        said = f"limit {rule.limiter.name} is for {rule.method} {rule.path}, and "
        if at:
            yield f"{said}no route there takes that method: it holds for nothing"
            continue

        (near,) = difflib.get_close_matches(rule.path, globs, 1, 0.0)
        yield (
            f"{said}there is no such route: it holds for nothing; the nearest is "
            f"{globs[near]}"
        )


def _takes(route: DeclaredRoute, method: str) -> bool:
    # Preflights are answered by middleware.
    if not route.methods or method in {"*", "OPTIONS"}:
        return True

    return method in route.methods or (method == "HEAD" and "GET" in route.methods)


def _passed_by(routes: Sequence[DeclaredRoute]) -> Iterator[str]:
    """Tell of functions that are routes while what limits them is none."""
    served = {id(one) for route in routes for one in _inside(route.endpoint)}
    told: set[tuple[str, str]] = set()
    for route in routes:
        for name, wrapper in _limits_on(route.endpoint):
            limited = wrapper()
            is_told = (name, route.template) in told
            if limited is None or id(limited) in served or is_told:
                continue

            told.add((name, route.template))
            called = getattr(route.endpoint, "__qualname__", "the function")
            yield (
                f"limit {name} on {called} does not hold for the route "
                f"{route.template}: it is written above the route's decorator, which "
                f"has the function without it; put @svcready.limit(...) below"
            )


def _limits_on(function: object) -> Iterable[tuple[str, ref[object]]]:
    try:
        return _limited.get(function, ())
    except TypeError:  # not hashable, or of no weak references
        return ()


def _inside(endpoint: object) -> Iterator[object]:
    """Yield what an endpoint is, and what it is around."""
    for _ in range(_MOST_WRAPPERS):
        if endpoint is None:
            return

        yield endpoint
        endpoint = getattr(endpoint, "__wrapped__", None)
