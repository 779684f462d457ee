"""What is said of routes and holds for none: rules for another, hidden decorators."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from svcready.resilience._limiting._glob import Glob
from svcready.resilience._limiting._hidden import hidden, noted
from svcready.resilience._limiting._spelling import Spellings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from svcready.resilience._limiting._hidden import Lost
    from svcready.resilience._limiting._inbound_means import DeclaredRoute

__all__ = ["ForRoute", "RouteCheck"]


class ForRoute(NamedTuple):
    """A rule of the operator's, as far as it says which route it is for."""

    what: str
    """What it is, for a message: `limit orders`, `priority critical`."""
    method: str
    """The method; `*` for all."""
    path: str
    """The route's template."""
    starred: bool = False
    """Whether `*` in the template stands for anything; alone it is all routes."""


class RouteCheck:
    """Finds what holds for no route, anew when something of it has changed."""

    def __init__(self) -> None:
        self._idle: tuple[object, dict[ForRoute, str]] = (None, {})
        self._lost: tuple[object, tuple[Lost, ...]] = (None, ())
        self.doubtful: frozenset[str] = frozenset()
        """
        What of it may be none: a route that a request brings, a copy for another use.
        """

    def find(
        self,
        rules: Sequence[ForRoute],
        routes: Callable[[], Sequence[DeclaredRoute]],
        is_own: Callable[[str], bool],
        elsewhere: str = "",
    ) -> tuple[str, ...]:
        """
        Return what is wrong, one line each.

        Args:
            rules: The operator's.
            routes: Tells all that there are; none: not known.
            is_own: Tells whether a path is one of svcready's own.
            elsewhere: Where a request may have routes beside these; empty: nowhere.
        """
        if not rules and not noted():
            return ()

        known = tuple(routes())
        idle = self.idle(rules, known, is_own, elsewhere)
        unrouted = tuple(
            f"{rule.what} is for {rule.method} {rule.path}, and {idle[rule]}"
            for rule in rules
            if rule in idle
        )
        asked = (known, noted())
        last, lost = self._lost
        if asked != last:
            lost = tuple(hidden(known))
            self._lost = (asked, lost)

        self.doubtful = frozenset(
            (
                *(unrouted if elsewhere else ()),
                *(one.text for one in lost if not one.is_sure),
            )
        )
        return (*unrouted, *(one.text for one in lost))

    def idle(
        self,
        rules: Sequence[ForRoute],
        routes: Sequence[DeclaredRoute],
        is_own: Callable[[str], bool],
        elsewhere: str = "",
    ) -> Mapping[ForRoute, str]:
        """
        Return why rules hold for nothing, of those that are known to.

        Args:
            rules: All of the operator's, so that one answer is kept for all who ask.
            routes: All that there are; none: not known.
            is_own: Tells whether a path is one of svcready's own.
            elsewhere: Where a request may have routes beside these; empty: nowhere.
        """
        asked = (tuple(rules), tuple(routes), elsewhere)
        last, idle = self._idle
        if asked != last:
            idle = _idle(rules, routes, is_own, elsewhere)
            self._idle = (asked, idle)  # at once, for threads ask as well

        return idle


def _idle(
    rules: Sequence[ForRoute],
    routes: Sequence[DeclaredRoute],
    is_own: Callable[[str], bool],
    elsewhere: str,
) -> dict[ForRoute, str]:
    if not rules or not routes:
        return {}

    at: dict[str, list[DeclaredRoute]] = {}
    for route in routes:
        at.setdefault(route.template, []).append(route)

    spellings = None
    nothing = "it holds for nothing" + (f", {elsewhere}" if elsewhere else "")
    found: dict[ForRoute, str] = {}
    for rule in rules:
        if rule.path == "*":
            continue

        there = _there(rule, at)
        if any(_takes(route, rule.method) for route in there):
            continue

        if there:
            found[rule] = f"no route there takes that method: {nothing}"
        elif is_own(rule.path):
            found[rule] = (
                "that is one of svcready's own paths, which are under no such rule: "
                + nothing
            )
        else:
            spellings = spellings or Spellings(at)
            hint = _hint(rule, at, spellings)
            found[rule] = f"there is no such route: {nothing}{hint}"

    return found


def _there(
    rule: ForRoute, at: Mapping[str, Sequence[DeclaredRoute]]
) -> Sequence[DeclaredRoute]:
    """Return the routes with the rule's template."""
    if not rule.starred:
        return at.get(rule.path, ())

    glob = Glob(rule.path)
    fitting = (routes for template, routes in at.items() if glob.matches(template))
    return [route for routes in fitting for route in routes]


def _hint(
    rule: ForRoute, at: Mapping[str, Sequence[DeclaredRoute]], spellings: Spellings
) -> str:
    """Return which route may have been meant; one that takes the method first."""
    found = spellings.meant(rule.path)
    if found is None:
        return ""

    templates, is_same = found
    likely = (
        template
        for template in templates
        if any(_takes(route, rule.method) for route in at[template])
    )
    there = next(likely, templates[0])
    return f"; it is spelt {there} here" if is_same else f"; the nearest is {there}"


def _takes(route: DeclaredRoute, method: str) -> bool:
    # Preflights are answered by middleware.
    if not route.methods or method in {"*", "OPTIONS"}:
        return True

    return method in route.methods or (method == "HEAD" and "GET" in route.methods)
