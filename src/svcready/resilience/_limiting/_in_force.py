"""The limits that code outside requests is under."""

from __future__ import annotations

from svcready._core.clock import SYSTEM_CLOCK
from svcready.resilience._limiting._limits import Limits
from svcready.resilience._limiting._store import MemoryStore

__all__ = ["IN_FORCE", "LimitsInForce"]


class LimitsInForce:
    """What code outside requests is limited by: a runtime's, or the process's own."""

    def __init__(self) -> None:
        self._own = Limits((), MemoryStore(SYSTEM_CLOCK), SYSTEM_CLOCK)
        self.limits = self._own

    def put(self, limits: Limits | None) -> None:
        """Put a runtime's in force; None: there is none any more."""
        self.limits = self._own if limits is None else limits


IN_FORCE = LimitsInForce()
"""The one of the process."""
