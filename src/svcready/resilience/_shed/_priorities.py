"""`priority`: which class of load shedding a route has, by code or by variable."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

from svcready.config._priorities_text import CLASSES, EXEMPT
from svcready.errors import DeclarationError
from svcready.resilience._limiting._hidden import mark, marked

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from svcready.config._priorities_text import PriorityRule
    from svcready.resilience._limiting._inbound import Inbound

__all__ = ["Priorities", "priority"]

F = TypeVar("F")

_DEFAULT = "default"
_PARAMETER = re.compile(r"\{[^{}]*\}|<[^<>]*>")
_declared = False


def priority(name: str) -> Callable[[F], F]:
    """
    Say how important a route is when the service sheds load.

    It decorates the function or class that serves the route, and changes nothing about
    it. Its place is directly below the framework's own decorator; where another one
    hides it from the route, that is reported once the service is ready. It has no
    effect while `SVCREADY_HTTP_SHEDDING` is off; `SVCREADY_HTTP_PRIORITIES` overrides
    it.

    Args:
        name: `critical` may fill all of the limit, `default` 90 % and `sheddable`
            70 %. `exempt` is neither counted nor refused: for long polls, whose
            latency says nothing of the load.

    Raises:
        DeclarationError: It is none of these.
    """
    if name not in (*CLASSES, EXEMPT):
        allowed = ", ".join((*CLASSES, EXEMPT))
        raise DeclarationError(f"priority {name!r}: use one of {allowed}")

    def declare(function: F) -> F:
        global _declared  # noqa: PLW0603 - without any, no request is asked for it
        _declared = True
        mark(function, name)
        return function

    return declare


class Priorities:
    """
    Tells a request's class: by the operator's rules, else by the code's, else default.

    Args:
        rules: The operator's; of two for one route the later holds, and one for a
            method goes before one for all.
    """

    __slots__ = ("_patterns", "_rules")

    def __init__(self, rules: Sequence[PriorityRule]) -> None:
        self._rules = {(method, template): name for method, template, name in rules}
        self._patterns = [
            (_pattern(template), template)
            for template in dict.fromkeys(rule.template for rule in rules)
        ]

    def of(self, request: Inbound) -> str:
        """Return one of the classes, or `exempt`."""
        if self._rules:
            found = self._by_rule(request)
            if found is not None:
                return found

        if _declared:
            return marked(request.endpoint()) or _DEFAULT

        return _DEFAULT

    def _by_rule(self, request: Inbound) -> str | None:
        template = request.template()
        if template is None:
            path = request.bare_path()
            if path is None:
                return None

            for pattern, candidate in self._patterns:
                if pattern.fullmatch(path) and self._find(request.method, candidate):
                    template = candidate
                    break

        return None if template is None else self._find(request.method, template)

    def _find(self, method: str, template: str) -> str | None:
        rules = self._rules
        found = rules.get((method, template))
        if found is None and method == "HEAD":  # frameworks answer it by GET's route
            found = rules.get(("GET", template))

        return found or rules.get(("*", template))


def _pattern(template: str) -> re.Pattern[str]:
    """Return what paths of a template match, where nothing declares routes."""
    parts = _PARAMETER.split(template)
    return re.compile("[^/]+".join(map(re.escape, parts)))
