"""Whether more requests at a time bring more throughput, found out by trying."""

from __future__ import annotations

import math
from typing import NamedTuple

__all__ = ["Trial"]

_STEP = 1.2
_ENOUGH_SAMPLES = 600
_LEAST_WINDOWS = 3
_MOST_WINDOWS = 30
_FELL = 0.3
_LEAST_STEP = 0.05
_WEIGHT = 0.04
_MOST_WEIGHT = 0.6
_FOLLOWS = 0.5
_BOUNDS = (-1.0, 2.0)


class _Stretch(NamedTuple):
    """What was measured under one limit, more or less."""

    limit: float
    rate: float
    samples: int


class Trial:
    """
    Raises the limit by a fifth for every other stretch, and compares throughputs.

    By Little's law a service without a queue does as much more as it has in flight,
    and a saturated one no more at all, only later. The elasticity between two
    stretches is near 1 or near 0, and its moving mean decides, where each comparison
    weighs as much as the noise of arrivals lets it say. A stretch lasts three windows
    or more, until it has samples enough or the limit went elsewhere meanwhile.
    """

    __slots__ = (
        "_first",
        "_last",
        "_length_s",
        "_limits",
        "_raised",
        "_samples",
        "_windows",
        "elasticity",
    )

    def __init__(self) -> None:
        self._raised = False
        self._first = 1
        self._last: _Stretch | None = None
        self.elasticity = 0.0
        """How many per cent throughput grew for each that the limit did."""
        self._clear()

    @property
    def follows(self) -> bool:
        """Whether throughput follows the limit."""
        return self.elasticity > _FOLLOWS

    def limit(self, base: int) -> int:
        """Return the limit to try, where *base* is the one that was reckoned."""
        return math.ceil(base * _STEP) if self._raised else base

    def add(self, limit: int, samples: int, length_s: float) -> None:
        """
        Take a window in which the limit decided how much was in flight.

        Args:
            limit: The limit in it.
            samples: How many requests ended.
            length_s: How long it was, in seconds.
        """
        self._windows += 1
        self._samples += samples
        self._length_s += length_s
        self._limits += limit * length_s
        if self._windows == 1:
            self._first = limit

        enough = self._samples >= _ENOUGH_SAMPLES or self._windows >= _MOST_WINDOWS
        moved = abs(math.log(limit / self._first)) >= _FELL
        if self._windows < _LEAST_WINDOWS or not (enough or moved):
            return

        length_s = self._length_s
        now = _Stretch(self._limits / length_s, self._samples / length_s, self._samples)
        if self._last is not None:
            self._compare(self._last, now)

        self._last = now
        self._raised = not self._raised
        self._clear()

    def stop(self) -> None:
        """Take a window in which the limit decided nothing."""
        if self._last is not None or self._windows:
            self._raised = False
            self._last = None
            self.elasticity = 0.0
            self._clear()

    def _compare(self, last: _Stretch, now: _Stretch) -> None:
        step = math.log(now.limit / last.limit)
        if abs(step) < _LEAST_STEP:
            return

        low, high = _BOUNDS
        found = max(low, min(high, math.log(now.rate / last.rate) / step))
        precision = step * step / (1.0 / last.samples + 1.0 / now.samples)
        weight = min(_MOST_WEIGHT, _WEIGHT * precision)
        self.elasticity += weight * (found - self.elasticity)

    def _clear(self) -> None:
        self._windows = 0
        self._samples = 0
        self._length_s = 0.0
        self._limits = 0.0
