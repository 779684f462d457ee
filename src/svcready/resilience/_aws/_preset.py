"""The preset `aws`: what guards the calls to an AWS service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.resilience import aws
from svcready.resilience._circuit import circuit_breaker
from svcready.resilience._retry import retry

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["preset"]


def preset() -> Mapping[str, object]:
    """Return the parts: a retry that hears the service's hints, a circuit breaker."""
    return {
        "retry": retry(on=aws.transient, retry_after=aws.retry_after),
        "breaker": circuit_breaker(outcome=aws.outcome),
    }
