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
from svcready.resilience._priorities import priority
from svcready.resilience._retry import Retry, get_retry, retry
from svcready.resilience._shedding_events import SheddingBegan, SheddingEnded

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
    "SheddingBegan",
    "SheddingEnded",
    "circuit_breaker",
    "get_breaker",
    "get_policy",
    "get_retry",
    "policy",
    "priority",
    "retry",
]
