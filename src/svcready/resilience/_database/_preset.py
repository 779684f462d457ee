"""The preset `database`: what guards a database's transactions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.resilience import database
from svcready.resilience._circuit import circuit_breaker
from svcready.resilience._retry import retry

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["preset"]


def preset() -> Mapping[str, object]:
    """Return the parts: a retry of whole transactions, and a circuit breaker."""
    return {
        "retry": retry(on=database.transient, wait_base="50ms", wait_max="1s"),
        "breaker": circuit_breaker(
            outcome=database.outcome, consecutive_failures=10, probe_lease="30s"
        ),
    }
