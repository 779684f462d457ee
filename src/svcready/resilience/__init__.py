"""Resilience: one policy per dependency, made of retries, breakers and their like."""

from __future__ import annotations

from svcready.resilience._circuit import (
    CircuitBreaker,
    circuit_breaker,
    get_breaker,
)
from svcready.resilience._events import (
    BreakerMoved,
    BreakerStarved,
    FellBack,
    RetryExhausted,
    RetryRecovered,
    RetryScheduled,
)
from svcready.resilience._guard import Guard
from svcready.resilience._policy import Policy, get_policy, policy
from svcready.resilience._retry import Retry, get_retry, retry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from svcready.resilience._fallback import Fallback, fallback, get_fallback
    from svcready.resilience._stale import Stale, stale

__all__ = [
    "BreakerMoved",
    "BreakerStarved",
    "CircuitBreaker",
    "Fallback",
    "FellBack",
    "Guard",
    "Policy",
    "Retry",
    "RetryExhausted",
    "RetryRecovered",
    "RetryScheduled",
    "Stale",
    "circuit_breaker",
    "fallback",
    "get_breaker",
    "get_fallback",
    "get_policy",
    "get_retry",
    "policy",
    "retry",
    "stale",
]

_MODULES = {
    "Fallback": "_fallback",
    "Stale": "_stale",
    "fallback": "_fallback",
    "get_fallback": "_fallback",
    "stale": "_stale",
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
