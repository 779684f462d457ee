"""Resilience: one policy per dependency, and limits on what callers may ask."""

from __future__ import annotations

from svcready.resilience._circuit import (
    CircuitBreaker,
    circuit_breaker,
    get_breaker,
)
from svcready.resilience._events import (
    BreakerMoved,
    BreakerStarved,
    LimitMoved,
    RetryExhausted,
    RetryRecovered,
    RetryScheduled,
)
from svcready.resilience._guard import Guard
from svcready.resilience._policy import Policy, get_policy, policy
from svcready.resilience._retry import Retry, get_retry, retry
from svcready.resilience._shedding_events import SheddingBegan, SheddingEnded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from svcready.resilience._limit import Limit, get_limit, limit
    from svcready.resilience._pressure import Pressure, on_pressure, pressure
    from svcready.resilience._priorities import priority
    from svcready.resilience._resolvers import resolver

__all__ = [
    "BreakerMoved",
    "BreakerStarved",
    "CircuitBreaker",
    "Guard",
    "Limit",
    "LimitMoved",
    "Policy",
    "Pressure",
    "Retry",
    "RetryExhausted",
    "RetryRecovered",
    "RetryScheduled",
    "SheddingBegan",
    "SheddingEnded",
    "circuit_breaker",
    "get_breaker",
    "get_limit",
    "get_policy",
    "get_retry",
    "limit",
    "on_pressure",
    "policy",
    "pressure",
    "priority",
    "resolver",
    "retry",
]

_MODULES = {
    "Limit": "_limit",
    "Pressure": "_pressure",
    "get_limit": "_limit",
    "limit": "_limit",
    "on_pressure": "_pressure",
    "pressure": "_pressure",
    "priority": "_priorities",
    "resolver": "_resolvers",
}
"""What is loaded when it is first named."""


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name not in _MODULES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)

    value: object = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
