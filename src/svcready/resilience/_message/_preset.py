"""The preset `message`: what guards publishing to a broker, and what consumers do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.resilience import message
from svcready.resilience._breaking._circuit import circuit_breaker
from svcready.resilience._retrying._retry import retry

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["preset"]


def preset() -> Mapping[str, object]:
    """Return the parts: a patient retry, and a circuit breaker."""
    return {
        "retry": retry(
            on=message.transient,
            attempts=5,
            wait_base="200ms",
            retry_after=message.retry_after,
        ),
        "breaker": circuit_breaker(
            success=message.answered,
            inconclusive=message.local,
            ignore=message.unrelated,
            consecutive_failures=10,
        ),
    }
