"""When a load shedder's beginning and end are told."""

from __future__ import annotations

import math

from svcready.resilience._events import SheddingBegan, SheddingEnded

__all__ = ["Story"]

_QUIET_S = 10.0


class Story:
    """
    What is told of refusals: the first, and that there was none for 10 s.

    Its owner's lock is held in every call.

    Args:
        name: Whose refusals.
    """

    __slots__ = ("_last_s", "_mode", "_name", "_since_s", "_total")

    def __init__(self, name: str) -> None:
        self._name = name
        self._mode = ""
        self._total = 0
        self._since_s = math.nan
        self._last_s = -math.inf

    @property
    def is_on(self) -> bool:
        """Whether there was a refusal, and no end was told."""
        return bool(self._total)

    def refused(
        self, now_s: float, mode: str, limit: int, in_flight: int, of: tuple[str, int]
    ) -> SheddingBegan | None:
        """
        Count a refusal, and return what is to be told if it is the first.

        Args:
            now_s: Monotonic time.
            mode: `enforce` or `observe`.
            limit: How many requests may be in flight.
            in_flight: How many are.
            of: The class of what was refused, and how many of the limit it may fill.
        """
        self._mode = mode
        self._last_s = now_s
        self._total += 1
        if self._total > 1:
            return None

        self._since_s = now_s
        return SheddingBegan(self._name, mode, limit, in_flight, *of)

    def ended(self, now_s: float, limit: int) -> SheddingEnded | None:
        """Return what is to be told if it is over."""
        if not self._total or now_s - self._last_s < _QUIET_S:
            return None

        lasted_s, total = self._last_s - self._since_s, self._total
        self._total = 0
        return SheddingEnded(self._name, self._mode, limit, lasted_s, total)
