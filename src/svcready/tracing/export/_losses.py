"""Says in the log, once a minute at most, how many spans did not arrive and why."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from svcready._core.clock import Clock

__all__ = ["Losses"]

_log = logging.getLogger("svcready.tracing")
_QUIET_S = 60.0


class Losses:
    """
    What one exporter has lost and not said yet.

    Args:
        target: Where the spans were to go, for people.
        clock: Says when a minute is over.
    """

    def __init__(self, target: str, clock: Clock) -> None:
        self._target = target
        self._now = clock.monotonic
        self._speaks_at_s = float("-inf")
        self._unsaid = 0

    def add(self, spans: int, why: str) -> None:
        """Count *spans* that did not arrive, and say so if it is time."""
        self._unsaid += spans
        now = self._now()
        if now >= self._speaks_at_s:
            self._speaks_at_s = now + _QUIET_S
            _log.warning(
                "%s did not reach %s: %s",
                "1 span" if self._unsaid == 1 else f"{self._unsaid} spans",
                self._target,
                why,
            )
            self._unsaid = 0
