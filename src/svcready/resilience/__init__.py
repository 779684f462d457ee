"""Resilience: what guards the calls to a dependency, one policy for each."""

from __future__ import annotations

from importlib import import_module

# `typing` would be a good part of what importing this costs.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from svcready.resilience._bulkhead import Bulkhead, bulkhead, get_bulkhead
    from svcready.resilience._circuit import (
        CircuitBreaker,
        circuit_breaker,
        get_breaker,
    )
    from svcready.resilience._deadline import remaining
    from svcready.resilience._deadline_part import Deadline, deadline, get_deadline
    from svcready.resilience._events import (
        BreakerMoved,
        BreakerStarved,
        FellBack,
        LimitMoved,
        RetryExhausted,
        RetryNested,
        RetryRecovered,
        RetryScheduled,
        Waited,
    )
    from svcready.resilience._fallback import Fallback, fallback, get_fallback
    from svcready.resilience._guard import Guard
    from svcready.resilience._limit import Limit, get_limit, limit
    from svcready.resilience._policy import Policy, get_policy, policy
    from svcready.resilience._pressure import Pressure, on_pressure, pressure
    from svcready.resilience._rate_limit import RateLimit, get_rate_limit, rate_limit
    from svcready.resilience._resolvers import resolver
    from svcready.resilience._retry import Retry, get_retry, retry
    from svcready.resilience._shield import Shield, shielded
    from svcready.resilience._stale import Stale, stale
    from svcready.resilience._throttle import Throttle, get_throttle, throttle
    from svcready.resilience._timeout import Timeout, get_timeout, timeout

__all__ = [
    "BreakerMoved",
    "BreakerStarved",
    "Bulkhead",
    "CircuitBreaker",
    "Deadline",
    "Fallback",
    "FellBack",
    "Guard",
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
    "get_limit",
    "get_policy",
    "get_rate_limit",
    "get_retry",
    "get_throttle",
    "get_timeout",
    "limit",
    "on_pressure",
    "policy",
    "pressure",
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
    "Bulkhead": "_bulkhead",
    "CircuitBreaker": "_circuit",
    "Deadline": "_deadline_part",
    "Fallback": "_fallback",
    "FellBack": "_events",
    "Guard": "_guard",
    "Limit": "_limit",
    "LimitMoved": "_events",
    "Policy": "_policy",
    "Pressure": "_pressure",
    "RateLimit": "_rate_limit",
    "Retry": "_retry",
    "RetryExhausted": "_events",
    "RetryNested": "_events",
    "RetryRecovered": "_events",
    "RetryScheduled": "_events",
    "Shield": "_shield",
    "Stale": "_stale",
    "Throttle": "_throttle",
    "Timeout": "_timeout",
    "Waited": "_events",
    "bulkhead": "_bulkhead",
    "circuit_breaker": "_circuit",
    "deadline": "_deadline_part",
    "fallback": "_fallback",
    "get_breaker": "_circuit",
    "get_bulkhead": "_bulkhead",
    "get_deadline": "_deadline_part",
    "get_fallback": "_fallback",
    "get_limit": "_limit",
    "get_policy": "_policy",
    "get_rate_limit": "_rate_limit",
    "get_retry": "_retry",
    "get_throttle": "_throttle",
    "get_timeout": "_timeout",
    "limit": "_limit",
    "on_pressure": "_pressure",
    "policy": "_policy",
    "pressure": "_pressure",
    "rate_limit": "_rate_limit",
    "remaining": "_deadline",
    "resolver": "_resolvers",
    "retry": "_retry",
    "shielded": "_shield",
    "stale": "_stale",
    "throttle": "_throttle",
    "timeout": "_timeout",
}
"""Each name's module, which is loaded when the name is first used."""


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        msg = f"module 'svcready.resilience' has no attribute {name!r}"
        raise AttributeError(msg)

    value: object = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
