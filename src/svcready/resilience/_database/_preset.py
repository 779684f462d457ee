"""The preset `database`: what guards a database's transactions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.resilience import database
from svcready.resilience._breaking._circuit import circuit_breaker
from svcready.resilience._retrying._retry import retry

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["preset"]


def preset() -> Mapping[str, object]:
    """Return the parts: times, a retry of whole transactions, a circuit breaker."""
    return {
        "deadline": "30s",
        "timeout": "10s",
        "retry": retry(on=database.transient, wait_base="50ms", wait_max="1s"),
        "breaker": circuit_breaker(
            success=database.answered,
            inconclusive=database.local,
            ignore=database.unrelated,
            consecutive_failures=10,
            probe_lease="20s",
        ),
    }
