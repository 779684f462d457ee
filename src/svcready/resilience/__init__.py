"""Resilience: retries and circuit breakers, one policy per dependency."""

from __future__ import annotations

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
)
from svcready.resilience._guard import Guard
from svcready.resilience._policy import Policy, get_policy, policy
from svcready.resilience._retry import Retry, get_retry, retry

__all__ = [
    "BreakerMoved",
    "BreakerStarved",
    "CircuitBreaker",
    "Guard",
    "Policy",
    "Retry",
    "RetryExhausted",
    "RetryRecovered",
    "RetryScheduled",
    "circuit_breaker",
    "get_breaker",
    "get_policy",
    "get_retry",
    "policy",
    "retry",
]

_MODULES = frozenset(("clients", "http"))
"""What users name as `svcready.resilience.http`, loaded when they do."""


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    from importlib import import_module

    return import_module(f"{__name__}.{name}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})
