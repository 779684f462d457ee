"""The preset `redis`: what guards a Redis server or cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.resilience import redis
from svcready.resilience._breaking._circuit import circuit_breaker
from svcready.resilience._retrying._retry import retry

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["preset"]


def preset() -> Mapping[str, object]:
    """Return the parts: a quick retry, and a circuit breaker."""
    return {
        "retry": retry(on=redis.transient, wait_base="20ms", wait_max="500ms"),
        "breaker": circuit_breaker(
            success=redis.answered,
            inconclusive=redis.local,
            ignore=redis.unrelated,
            consecutive_failures=10,
        ),
    }
