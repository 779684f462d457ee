"""Which limits hold for a request, and whether before or at its route."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from svcready._core.guard import report_foreign
from svcready._core.http import OTHER_VALUE
from svcready.resilience._limiting._glob import Glob
from svcready.resilience._limiting._resolvers import RESOLVERS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from svcready.resilience._limiting._inbound import Inbound
    from svcready.resilience._limiting._limit_keys import KeyPart
    from svcready.resilience._limiting._limiter import Limiter

__all__ = ["Rule", "Rules", "template_of", "waits_for_route"]

_MOST_KEPT = 4096


class Rule(NamedTuple):
    """One limit, and what it is for."""

    limiter: Limiter
    """The limit."""
    method: str
    """The method; `*` for all; `GET` is `HEAD` too, which asks for the same."""
    path: str
    """The route's template, with `*` for anything; `*` for all, with or without one."""
    cost: int
    """What each request takes."""


class Rules:
    """
    The rules in force, found by method and route.

    Args:
        rules: All of them.
    """

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._rules = tuple(rules)
        self._patterns = {rule.path: Glob(rule.path) for rule in self._rules}
        self._kept: dict[tuple[str, str | None], tuple[Rule, ...]] = {}
        self._by_path = any(rule.path != "*" for rule in self._rules)

    def __bool__(self) -> bool:
        return bool(self._rules)

    def of(self, request: Inbound) -> tuple[Rule, ...]:
        """Return the rules that are for *request*."""
        if not self._rules:
            return ()

        path = template_of(request) if self._by_path else None
        if path is None and self._by_path:
            bare = request.bare_path()
            if bare is not None:  # of which there are as many as callers make up
                return self._find(request.method, bare)

        kept = self._kept.get((request.method, path))
        if kept is None:
            kept = self._find(request.method, path)
            if len(self._kept) < _MOST_KEPT:
                self._kept[request.method, path] = kept

        return kept

    def _find(self, method: str, path: str | None) -> tuple[Rule, ...]:
        # A method that is none of HTTP's, as `post`, may be one to an application.
        methods = {"*", method, "GET" if method == "HEAD" else method}
        return tuple(
            rule
            for rule in self._rules
            if (rule.method in methods or method == OTHER_VALUE)
            and (
                rule.path == "*"
                or (path is not None and self._patterns[rule.path].matches(path))
            )
        )


def template_of(request: Inbound) -> str | None:
    """Return the template of the route that *request* will take; None: of none."""
    try:
        return request.template()
    except Exception as error:  # noqa: BLE001 - what is for all routes still holds
        report_foreign("limits.route", error)
        return None


def waits_for_route(parts: Iterable[KeyPart]) -> bool:
    """Tell whether what tells callers apart is only known at the route."""
    return any(
        part.kind in {"resolver", "route"}
        or (part.kind == "client" and RESOLVERS.get(part.of) is not None)
        for part in parts
    )
