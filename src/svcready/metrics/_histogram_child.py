"""The histogram's child: one series, counted by bucket."""

from __future__ import annotations

import threading
from bisect import bisect_left

from svcready.metrics._children import MOST, checked_number
from svcready.metrics._model import Distribution

__all__ = ["HistogramChild", "LockedHistogramChild"]


class HistogramChild:
    """
    One series of a histogram, kept as counts by bucket and a sum.

    Args:
        bounds: Finite upper bounds, inclusive and rising.
    """

    __slots__ = ("_bins", "_retired", "_sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bins = (bounds, [0] * (len(bounds) + 1))
        self._retired: tuple[tuple[tuple[float, ...], list[int]], ...] = ()
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Record *value*; what is no finite number is reported and left out."""
        if type(value) is float and -MOST <= value <= MOST:
            bounds, counts = self._bins
            place = bisect_left(bounds, value)
            counts[place] += 1
            self._sum += value
        else:
            number = checked_number(value)
            if number is not None:
                self.observe(float(number))

    def read(self, labels: tuple[str, ...]) -> Distribution:
        """Return what was recorded so far, as the series of *labels*."""
        bounds, counts = self._bins
        copied: list[int] = []
        # No call and no allocation of a container between these two lines either, so
        # that the sum is of exactly the values that are counted.
        copied += counts
        total = self._sum
        for old_bounds, old_counts in self._retired:
            for bound, count in zip((*old_bounds, None), old_counts, strict=True):
                copied[-1 if bound is None else bisect_left(bounds, bound)] += count

        return Distribution(labels, bounds, tuple(copied), total)

    def rebucket(self, bounds: tuple[float, ...]) -> None:
        """
        Count in other buckets from now on.

        What was counted before stays counted, each old bucket at its upper bound: the
        old list lives on, because a thread may be about to add to it.
        """
        if bounds != self._bins[0]:
            old = self._bins
            self._bins = (bounds, [0] * (len(bounds) + 1))
            self._retired = (*self._retired, old)

    def reset(self) -> None:
        """Start again from zero; for a forked child, which has one thread."""
        bounds = self._bins[0]
        self._bins = (bounds, [0] * (len(bounds) + 1))
        self._retired = ()
        self._sum = 0.0


class LockedHistogramChild(HistogramChild):
    """One series of a histogram where a bare `+=` may lose something."""

    __slots__ = ("_lock",)

    def __init__(self, bounds: tuple[float, ...]) -> None:
        super().__init__(bounds)
        self._lock = threading.RLock()

    def observe(self, value: float) -> None:
        """Record *value*; what is no finite number is reported and left out."""
        number = checked_number(value)
        if number is not None:
            with self._lock:
                super().observe(float(number))

    def read(self, labels: tuple[str, ...]) -> Distribution:
        """Return what was recorded so far, as the series of *labels*."""
        with self._lock:
            return super().read(labels)

    def rebucket(self, bounds: tuple[float, ...]) -> None:
        """Count in other buckets from now on."""
        with self._lock:
            super().rebucket(bounds)

    def reset(self) -> None:
        """Start again from zero, with a lock that nobody holds."""
        self._lock = threading.RLock()
        super().reset()
