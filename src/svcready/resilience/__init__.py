"""Resilience: what guards the calls to a dependency, one policy for each."""

from __future__ import annotations

from importlib import import_module

# `typing` would be a good part of what importing this costs.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from svcready.resilience import (  # noqa: F401 - see _PLACES
        aws,
        clients,
        database,
        http,
        message,
        redis,
    )
    from svcready.resilience._admitting._bulkhead import (
        Bulkhead,
        bulkhead,
        get_bulkhead,
    )
    from svcready.resilience._admitting._rate_limit import (
        RateLimit,
        get_rate_limit,
        rate_limit,
    )
    from svcready.resilience._admitting._throttle import (
        Throttle,
        get_throttle,
        throttle,
    )
    from svcready.resilience._breaking._circuit import (
        CircuitBreaker,
        circuit_breaker,
        get_breaker,
    )
    from svcready.resilience._composing._policy import Policy, get_policy, policy
    from svcready.resilience._events import (
        BreakerMoved,
        BreakerStarved,
        FellBack,
        LimitMoved,
        RetryExhausted,
        RetryNested,
        RetryRecovered,
        RetryScheduled,
        SheddingBegan,
        SheddingEnded,
        Waited,
    )
    from svcready.resilience._hedging._hedge import Hedge, get_hedge, hedge
    from svcready.resilience._layering._guard import Guard
    from svcready.resilience._limiting._limit import Limit, get_limit, limit
    from svcready.resilience._limiting._pressure import Pressure, on_pressure, pressure
    from svcready.resilience._limiting._resolvers import resolver
    from svcready.resilience._retrying._retry import Retry, get_retry, retry
    from svcready.resilience._shed._priorities import priority
    from svcready.resilience._standing_in._fallback import (
        Fallback,
        fallback,
        get_fallback,
    )
    from svcready.resilience._standing_in._stale import Stale, stale
    from svcready.resilience._timing._deadline import remaining
    from svcready.resilience._timing._deadline_part import (
        Deadline,
        deadline,
        get_deadline,
    )
    from svcready.resilience._timing._shield import Shield, shielded
    from svcready.resilience._timing._timeout import Timeout, get_timeout, timeout

__all__ = [
    "BreakerMoved",
    "BreakerStarved",
    "Bulkhead",
    "CircuitBreaker",
    "Deadline",
    "Fallback",
    "FellBack",
    "Guard",
    "Hedge",
    "Limit",
    "LimitMoved",
    "Policy",
    "Pressure",
    "RateLimit",
    "Retry",
    "RetryExhausted",
    "RetryNested",
    "RetryRecovered",
    "RetryScheduled",
    "SheddingBegan",
    "SheddingEnded",
    "Shield",
    "Stale",
    "Throttle",
    "Timeout",
    "Waited",
    "bulkhead",
    "circuit_breaker",
    "deadline",
    "fallback",
    "get_breaker",
    "get_bulkhead",
    "get_deadline",
    "get_fallback",
    "get_hedge",
    "get_limit",
    "get_policy",
    "get_rate_limit",
    "get_retry",
    "get_throttle",
    "get_timeout",
    "hedge",
    "limit",
    "on_pressure",
    "policy",
    "pressure",
    "priority",
    "rate_limit",
    "remaining",
    "resolver",
    "retry",
    "shielded",
    "stale",
    "throttle",
    "timeout",
]

_MODULES = {
    "BreakerMoved": "_events",
    "BreakerStarved": "_events",
    "Bulkhead": "_admitting._bulkhead",
    "CircuitBreaker": "_breaking._circuit",
    "Deadline": "_timing._deadline_part",
    "Fallback": "_standing_in._fallback",
    "FellBack": "_events",
    "Guard": "_layering._guard",
    "Hedge": "_hedging._hedge",
    "Limit": "_limiting._limit",
    "LimitMoved": "_events",
    "Policy": "_composing._policy",
    "Pressure": "_limiting._pressure",
    "RateLimit": "_admitting._rate_limit",
    "Retry": "_retrying._retry",
    "RetryExhausted": "_events",
    "RetryNested": "_events",
    "RetryRecovered": "_events",
    "RetryScheduled": "_events",
    "SheddingBegan": "_events",
    "SheddingEnded": "_events",
    "Shield": "_timing._shield",
    "Stale": "_standing_in._stale",
    "Throttle": "_admitting._throttle",
    "Timeout": "_timing._timeout",
    "Waited": "_events",
    "bulkhead": "_admitting._bulkhead",
    "circuit_breaker": "_breaking._circuit",
    "deadline": "_timing._deadline_part",
    "fallback": "_standing_in._fallback",
    "get_breaker": "_breaking._circuit",
    "get_bulkhead": "_admitting._bulkhead",
    "get_deadline": "_timing._deadline_part",
    "get_fallback": "_standing_in._fallback",
    "get_hedge": "_hedging._hedge",
    "get_limit": "_limiting._limit",
    "get_policy": "_composing._policy",
    "get_rate_limit": "_admitting._rate_limit",
    "get_retry": "_retrying._retry",
    "get_throttle": "_admitting._throttle",
    "get_timeout": "_timing._timeout",
    "hedge": "_hedging._hedge",
    "limit": "_limiting._limit",
    "on_pressure": "_limiting._pressure",
    "policy": "_composing._policy",
    "pressure": "_limiting._pressure",
    "priority": "_shed._priorities",
    "rate_limit": "_admitting._rate_limit",
    "remaining": "_timing._deadline",
    "resolver": "_limiting._resolvers",
    "retry": "_retrying._retry",
    "shielded": "_timing._shield",
    "stale": "_standing_in._stale",
    "throttle": "_admitting._throttle",
    "timeout": "_timing._timeout",
}
"""Each name's module, which is loaded when the name is first used."""
_PLACES = frozenset(("aws", "clients", "database", "http", "message", "redis"))
"""Modules that users name as `svcready.resilience.http`, loaded likewise."""


def __getattr__(name: str) -> object:
    if name in _PLACES:
        return import_module(f"{__name__}.{name}")

    if name not in _MODULES:
        msg = f"module 'svcready.resilience' has no attribute {name!r}"
        raise AttributeError(msg)

    value: object = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_PLACES})
