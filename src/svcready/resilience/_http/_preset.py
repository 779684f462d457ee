"""The preset `http`: what guards a dependency that is called over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.resilience import http
from svcready.resilience._circuit import circuit_breaker
from svcready.resilience._retry import retry

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["preset"]


def preset() -> Mapping[str, object]:
    """Return the parts: a retry of what may be repeated, and a circuit breaker."""
    return {
        "retry": retry(on=http.transient, retry_after=http.retry_after),
        "breaker": circuit_breaker(outcome=http.outcome),
    }
