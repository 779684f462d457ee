"""What is said of routes and holds for none: rules for another, hidden decorators."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from svcready.resilience._limiting._glob import Glob
from svcready.resilience._limiting._hidden import hidden, noted
from svcready.resilience._limiting._spelling import meant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from svcready.resilience._limiting._inbound_means import DeclaredRoute

__all__ = ["ForRoute", "RouteCheck", "idle"]


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

    def fits(self, template: str) -> bool:
        """Return whether it is for the route with *template*."""
        if self.starred:
            return self.path == "*" or Glob(self.path).matches(template)

        return self.path == template


class RouteCheck:
    """Finds what holds for no route, anew when something of it has changed."""

    def __init__(self) -> None:
        self._of: object = None
        self._found: tuple[str, ...] = ()
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
        asked = (tuple(rules), known, noted(), elsewhere)
        if asked != self._of:
            self._of = asked
            unrouted = tuple(_unrouted(rules, known, is_own, elsewhere))
            lost = tuple(hidden(known))
            self.doubtful = frozenset(
                (
                    *(unrouted if elsewhere else ()),
                    *(one.text for one in lost if not one.is_sure),
                )
            )
            self._found = (*unrouted, *(one.text for one in lost))

        return self._found


def idle(
    rule: ForRoute,
    routes: Sequence[DeclaredRoute],
    is_own: Callable[[str], bool],
    elsewhere: str = "",
) -> str:
    """
    Return why *rule* holds for nothing; empty: it holds, or that is not known.

    Args:
        rule: The operator's.
        routes: All that there are; none: not known.
        is_own: Tells whether a path is one of svcready's own.
        elsewhere: Where a request may have routes beside these; empty: nowhere.
    """
    nothing = "it holds for nothing" + (f", {elsewhere}" if elsewhere else "")
    at = [route for route in routes if rule.fits(route.template)]
    if not routes or rule.path == "*" or any(_takes(it, rule.method) for it in at):
        return ""

    if at:
        return f"no route there takes that method: {nothing}"

    if is_own(rule.path):
        return (
            "that is one of svcready's own paths, which are under no such rule: "
            + nothing
        )

    said = f"there is no such route: {nothing}"
    likely = sorted(routes, key=lambda route: not _takes(route, rule.method))
    found = meant(rule.path, (route.template for route in likely))
    if found is not None:
        there, is_same = found
        hint = "it is spelt {} here" if is_same else "the nearest is {}"
        said += f"; {hint.format(there)}"

    return said


def _unrouted(
    rules: Sequence[ForRoute],
    routes: Sequence[DeclaredRoute],
    is_own: Callable[[str], bool],
    elsewhere: str,
) -> Iterator[str]:
    for rule in rules:
        why = idle(rule, routes, is_own, elsewhere)
        if why:
            yield f"{rule.what} is for {rule.method} {rule.path}, and {why}"


def _takes(route: DeclaredRoute, method: str) -> bool:
    # Preflights are answered by middleware.
    if not route.methods or method in {"*", "OPTIONS"}:
        return True

    return method in route.methods or (method == "HEAD" and "GET" in route.methods)
