"""How long the work at hand may still take."""

from __future__ import annotations

from svcready._core.clock import SYSTEM_CLOCK
from svcready.resilience import _deadline

__all__ = ["remaining_s"]


def remaining_s() -> float:
    """Return the seconds until the deadline in force; inf: there is none."""
    return _deadline.until_s() - SYSTEM_CLOCK.monotonic()
