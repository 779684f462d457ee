"""A root's sampling decision by fifty of X-Ray's rules."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from benchmarks.workload import Statement

if TYPE_CHECKING:
    from benchmarks.workload import Workload

_WORDS = (
    *("orders", "checkout", "users", "admin", "carts", "items", "search", "billing"),
    *("reports", "auth", "login", "stock", "prices", "ship", "returns", "coupons"),
    *("reviews", "media", "feeds", "hooks", "events", "audit", "jobs", "tenants"),
)
_METHODS = ("*", "GET", "POST", "GET")
_HOST = "shop.example"
PATHS = (
    "/api/v1/orders/4711",
    "/api/v1/stock/7/details",
    "/api/v1/tenants/7",
    "/api/v2/elsewhere",
)
"""Of the first rule, of one in the middle, of the last but one, of the default."""


def rules() -> list[dict[str, object]]:
    """Return fifty rules as X-Ray's API gives them, the default among them."""
    patterns = [f"/api/v1/{word}/?/details" for word in _WORDS]
    patterns[0:0] = ["/api/v1/orders/*"]
    patterns += [f"/api/v1/{word}/*" for word in _WORDS]
    made = [
        _rule(f"rule-{at}", at, pattern, _METHODS[at % 4], 0)
        for at, pattern in enumerate(patterns, 4)
    ]
    return [*made, _rule("Default", 10_000, "*", "*", 1)]


def _rule(
    name: str, priority: int, path: str, method: str, reservoir: int
) -> dict[str, object]:
    return {
        "RuleName": name,
        "ResourceARN": "*",
        "Priority": priority,
        "FixedRate": 0.05,
        "ReservoirSize": reservoir,
        "ServiceName": "*",
        "ServiceType": "*",
        "Host": "*",
        "HTTPMethod": method,
        "URLPath": path,
        "Version": 1,
        "Attributes": {},
    }


def ours() -> Workload:
    """svcready, the rules in a file."""
    import json

    from svcready._core.clock import SYSTEM_CLOCK
    from svcready.config import load
    from svcready.tracing.sampling._build import build_decider
    from svcready.tracing.sampling._service import Service

    text = json.dumps({"SamplingRules": rules()}).encode()
    environ = {"SVCREADY_TRACING_RULES_FILE": "rules.json"}
    settings = load(environ=environ, read_file=lambda _: text)
    assert len(settings.tracing.rules_file.rules) == len(rules())
    decider = build_decider(settings.tracing, SYSTEM_CLOCK, Service("orders"))
    names = {
        "decide": decider.decide,
        "paths": itertools.cycle(PATHS),
        "describe": lambda: {"server.address": _HOST},
    }
    return Statement('decide("GET", next(paths), describe)', names)


def adot() -> Workload:
    """ADOT's sampler, the rules as if X-Ray had just been asked for them."""
    import threading

    from amazon.opentelemetry.distro.sampler._clock import _Clock
    from amazon.opentelemetry.distro.sampler._fallback_sampler import _FallbackSampler
    from amazon.opentelemetry.distro.sampler._rule_cache import _RuleCache
    from amazon.opentelemetry.distro.sampler._sampling_rule import _SamplingRule
    from opentelemetry.context import Context
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.trace import SpanKind

    clock = _Clock()
    resource = Resource({"service.name": "orders"})
    fallback = _FallbackSampler(clock)
    cache = _RuleCache(resource, fallback, "a" * 24, clock, threading.Lock())
    cache.update_sampling_rules([_SamplingRule(**rule) for rule in rules()])
    names = {
        "decide": cache.should_sample,
        "attributes": itertools.cycle(
            {
                "http.request.method": "GET",
                "http.method": "GET",
                "url.path": path,
                "server.address": _HOST,
            }
            for path in PATHS
        ),
        "nothing": Context(),
        "server": SpanKind.SERVER,
        "ids": itertools.cycle(range(2**64, 2**126, 2**116)),
    }
    statement = 'decide(nothing, next(ids), "GET", server, next(attributes))'
    return Statement(statement, names)
