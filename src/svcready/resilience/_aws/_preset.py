"""The preset `aws`: what guards the calls to an AWS service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.resilience import aws
from svcready.resilience._breaking._circuit import circuit_breaker
from svcready.resilience._retrying._retry import retry

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["preset"]


def preset() -> Mapping[str, object]:
    """
    Return the parts: a deadline, a retry that hears hints, a circuit breaker.

    No time-out, because some operations take long. What hangs is slow before the
    deadline cuts it off, or the breaker would never see it.
    """
    return {
        "deadline": "60s",
        "retry": retry(on=aws.transient, retry_after=aws.retry_after),
        "breaker": circuit_breaker(
            success=aws.answered,
            inconclusive=aws.local,
            ignore=aws.unrelated,
            slow_after="50s",
        ),
    }
