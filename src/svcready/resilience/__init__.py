"""
Resilience: what guards the calls to a dependency, one policy for each.

Retries, breakers and policies are loaded with it, everything else when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.resilience._circuit import (
    CircuitBreaker,
    circuit_breaker,
    get_breaker,
)
from svcready.resilience._events import (
    BreakerMoved,
    BreakerStarved,
    RetryExhausted,
    RetryRecovered,
    RetryScheduled,
    Waited,
)
from svcready.resilience._guard import Guard
from svcready.resilience._policy import Policy, get_policy, policy
from svcready.resilience._retry import Retry, get_retry, retry

if TYPE_CHECKING:
    from svcready.resilience._bulkhead import Bulkhead, bulkhead, get_bulkhead
    from svcready.resilience._rate_limit import RateLimit, get_rate_limit, rate_limit
    from svcready.resilience._throttle import Throttle, get_throttle, throttle

__all__ = [
    "BreakerMoved",
    "BreakerStarved",
    "Bulkhead",
    "CircuitBreaker",
    "Guard",
    "Policy",
    "RateLimit",
    "Retry",
    "RetryExhausted",
    "RetryRecovered",
    "RetryScheduled",
    "Throttle",
    "Waited",
    "bulkhead",
    "circuit_breaker",
    "get_breaker",
    "get_bulkhead",
    "get_policy",
    "get_rate_limit",
    "get_retry",
    "get_throttle",
    "policy",
    "rate_limit",
    "retry",
    "throttle",
]

_MODULES = {
    "Bulkhead": "_bulkhead",
    "RateLimit": "_rate_limit",
    "Throttle": "_throttle",
    "bulkhead": "_bulkhead",
    "get_bulkhead": "_bulkhead",
    "get_rate_limit": "_rate_limit",
    "get_throttle": "_throttle",
    "rate_limit": "_rate_limit",
    "throttle": "_throttle",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(globals().keys() | set(__all__))
