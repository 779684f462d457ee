"""What operators are shown of a limit besides numbers: by whom, for what, where."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready._core.rates import say_rate
from svcready.resilience._limiting._hidden import limits_of
from svcready.resilience._limiting._idle import ForRoute, idle

if TYPE_CHECKING:
    from collections.abc import Iterable

    from svcready.resilience._limiting._inbound_means import InboundMeans
    from svcready.resilience._limiting._limit_rules import Rule
    from svcready.resilience._limiting._limiter import Limiter

__all__ = ["for_route", "limit_shown"]


def for_route(rule: Rule) -> ForRoute:
    """Return which route a rule is for."""
    return ForRoute(f"limit {rule.limiter.name}", rule.method, rule.path, starred=True)


def limit_shown(
    limiter: Limiter, rules: Iterable[Rule], means: InboundMeans
) -> dict[str, object]:
    """
    Return by whom a limit is, for which routes, at which cost, and where it is kept.

    `idle` is why a rule holds for nothing; it is there where that is known to be so.

    Args:
        limiter: The limit.
        rules: The operator's.
        means: Tells of routes, and of the store.
    """
    rate, routes = limiter.config.rate, means.routes()
    shown: dict[str, object] = {
        "rate": {
            "per_s": float(f"{rate.per_s:.6g}"),
            "burst": rate.burst,
            "text": say_rate(rate.per_s),
        },
        "by": "+".join(map(str, limiter.by)),
        "cost": limiter.dearest,
        "store": means.kept_in(),
    }
    for rule in rules:
        if rule.limiter is limiter:
            why = idle(for_route(rule), routes, means.is_own, means.elsewhere())
            said = {"idle": why} if why else {}
            return {**shown, "for": [f"{rule.method} {rule.path}"], **said}

    held = [one for one in routes if limiter.name in limits_of(one.endpoint)]
    shown["for"] = sorted({_spelt(one.methods, one.template) for one in held})
    return shown


def _spelt(methods: Iterable[str] | None, template: str) -> str:
    known = sorted(set(methods or ()) - {"HEAD", "OPTIONS"})
    return f"{','.join(known) or '*'} {template}"
