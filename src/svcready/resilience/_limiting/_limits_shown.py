"""What operators are shown of a limit besides numbers: by whom, for what, where."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from svcready._core.rates import say_rate
from svcready.resilience._limiting._hidden import limits_of
from svcready.resilience._limiting._idle import ForRoute

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from svcready.resilience._limiting._inbound_means import DeclaredRoute, InboundMeans
    from svcready.resilience._limiting._limit_rules import Rule
    from svcready.resilience._limiting._limiter import Limiter

__all__ = ["LimitsShown", "for_route"]


def for_route(rule: Rule) -> ForRoute:
    """Return which route a rule is for."""
    return ForRoute(f"limit {rule.limiter.name}", rule.method, rule.path, starred=True)


class LimitsShown:
    """
    Tells operators of limits, for one report: routes are looked at once for all.

    Args:
        rules: The operator's.
        means: Tells of routes, and of the store.
        idle: Tells of rules why they hold for nothing, where that is known to be so.
    """

    def __init__(
        self,
        rules: Iterable[Rule],
        means: InboundMeans,
        idle: Callable[[Sequence[DeclaredRoute]], Mapping[ForRoute, str]],
    ) -> None:
        self._rules: dict[int, Rule] = {}
        for rule in rules:
            self._rules.setdefault(id(rule.limiter), rule)

        self._means = means
        self._find_idle = idle

    def of(self, limiter: Limiter) -> dict[str, object]:
        """
        Return by whom a limit is, for which routes, at which cost, where it is kept.

        `idle` is why a rule holds for nothing; it is there where that is so.
        """
        rate = limiter.config.rate
        shown: dict[str, object] = {
            "rate": {
                "per_s": float(f"{rate.per_s:.6g}"),
                "burst": rate.burst,
                "text": say_rate(rate.per_s),
            },
            "by": "+".join(map(str, limiter.by)),
            "cost": limiter.dearest,
            "store": self._means.kept_in(),
        }
        rule = self._rules.get(id(limiter))
        if rule is None:
            shown["for"] = sorted(self._held.get(limiter.name, ()))
            return shown

        shown["for"] = [f"{rule.method} {rule.path}"]
        why = self._idle.get(for_route(rule))
        if why is not None:
            shown["idle"] = why

        return shown

    @cached_property
    def _routes(self) -> tuple[DeclaredRoute, ...]:
        return tuple(self._means.routes())

    @cached_property
    def _idle(self) -> Mapping[ForRoute, str]:
        return self._find_idle(self._routes)

    @cached_property
    def _held(self) -> dict[str, set[str]]:
        """The routes that limits of code are on, by the limit's name."""
        held: dict[str, set[str]] = {}
        for route in self._routes:
            for name in limits_of(route.endpoint):
                held.setdefault(name, set()).add(_spelt(route.methods, route.template))

        return held


def _spelt(methods: Iterable[str] | None, template: str) -> str:
    known = sorted(set(methods or ()) - {"HEAD", "OPTIONS"})
    return f"{','.join(known) or '*'} {template}"
