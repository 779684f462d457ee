"""When a load shedder's beginning, going on and end are told."""

from __future__ import annotations

import math
from collections import Counter

from svcready.resilience._shedding_events import (
    SheddingBegan,
    SheddingContinued,
    SheddingEnded,
)

__all__ = ["Story"]

_QUIET_S = 10.0


class Story:
    """
    What is told of refusals: the first, a sum every 10 s at most, and that it is over.

    Its owner's lock is held in every call.

    Args:
        name: Whose refusals.
    """

    __slots__ = (
        "_last_s",
        "_mode",
        "_name",
        "_refused",
        "_since_s",
        "_told_s",
        "_total",
    )

    def __init__(self, name: str) -> None:
        self._name = name
        self._mode = ""
        self._refused: Counter[str] = Counter()
        self._total = 0
        self._since_s = math.nan
        self._last_s = -math.inf
        self._told_s = math.inf

    @property
    def is_on(self) -> bool:
        """Whether there was a refusal, and no end was told."""
        return bool(self._total)

    def refused(
        self, now_s: float, mode: str, limit: int, in_flight: int, priority: str
    ) -> SheddingBegan | SheddingContinued | None:
        """Count a refusal, and return what is to be told of it."""
        self._mode = mode
        self._last_s = now_s
        self._total += 1
        if self._total == 1:
            self._since_s = self._told_s = now_s
            return SheddingBegan(self._name, mode, limit, in_flight, priority)

        self._refused[priority] += 1
        return self._sum_up(now_s, limit, in_flight)

    def tell(
        self, now_s: float, limit: int, in_flight: int
    ) -> SheddingContinued | SheddingEnded | None:
        """Return what is to be told because time has passed."""
        if not self._total:
            return None

        if now_s - self._last_s < _QUIET_S:
            return self._sum_up(now_s, limit, in_flight)

        lasted_s, total = self._last_s - self._since_s, self._total
        self._total = 0
        self._refused.clear()
        return SheddingEnded(self._name, self._mode, limit, lasted_s, total)

    def _sum_up(
        self, now_s: float, limit: int, in_flight: int
    ) -> SheddingContinued | None:
        if now_s - self._told_s < _QUIET_S or not self._refused:
            return None

        self._told_s = now_s
        refused = self._refused
        event = SheddingContinued(
            self._name,
            self._mode,
            limit,
            in_flight,
            refused["critical"],
            refused["default"],
            refused["sheddable"],
        )
        refused.clear()
        return event
