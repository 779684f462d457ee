"""The words for a circuit breaker's states."""

from __future__ import annotations

__all__ = ["CLOSED", "DISABLED", "FORCED_CLOSED", "FORCED_OPEN", "HALF_OPEN", "OPEN"]

CLOSED = "closed"
HALF_OPEN = "half_open"
OPEN = "open"
FORCED_OPEN = "forced_open"
FORCED_CLOSED = "forced_closed"
DISABLED = "disabled"
