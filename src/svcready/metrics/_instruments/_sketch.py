"""The sketch: what a histogram recorded since it was last taken, for CloudWatch."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

from svcready.metrics._instruments._reduce import Bin, Reduced, reduce_bins, split_bins

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Reduced", "Sketch"]

_WIDTH = math.log(1.01)
_MOST_EXACT = 150
_MOST_BINS = 2048  # a million log-normal values of sigma 1.5 fill 1 500


class Sketch:
    """
    A bounded distribution with true count, sum, minimum and maximum.

    Up to 150 distinct values are kept as they are; then each is counted in a bin whose
    bounds are 1 % apart, so that a bin is known and not what is in it. Beyond 2 048
    bins of one sign (values some nine orders of magnitude apart, evenly) two
    neighbours become one, for all. Sketches merge without loss of counts, so that one
    that could not be sent is kept by merging it into the next.
    """

    __slots__ = (
        "_exact",
        "_negative",
        "_positive",
        "_width",
        "_zeros",
        "count",
        "max",
        "min",
        "sum",
    )

    def __init__(self) -> None:
        self.count = 0
        """How many values were recorded."""
        self.sum = 0.0
        self.min = math.inf
        self.max = -math.inf
        self._exact: dict[float, int] | None = {}
        # Bin n counts magnitudes above e^(width * (n - 1)) and up to e^(width * n).
        self._positive: dict[int, int] = {}
        self._negative: dict[int, int] = {}
        self._zeros = 0
        self._width = _WIDTH

    def add(self, values: Iterable[float]) -> None:
        """Record finite *values*."""
        ordered = sorted(values)
        self.add_sorted(ordered, math.fsum(ordered))

    def add_sorted(self, values: Sequence[float], total: float) -> None:
        """
        Record finite *values*, which rise.

        It costs by how many bins they fill, not by how many they are.

        Args:
            values: Floats, rising.
            total: Their sum.
        """
        if not values:
            return

        self.count += len(values)
        self.sum += total
        self.min = min(self.min, values[0])
        self.max = max(self.max, values[-1])
        at = self._add_exactly(values)
        if at < len(values):
            self._add_to_bins(values, at)

    def observe(self, value: float, count: int = 1) -> None:
        """Record one finite *value*, *count* times."""
        if count <= 0:
            return

        self.count += count
        self.sum += value * count
        self.min = min(self.min, value)
        self.max = max(self.max, value)
        if self._exact is None:
            self._to_bin(value, count)
            self._keep_few()
        else:
            self._exact[value] = self._exact.get(value, 0) + count
            self._end_exactness()

    def merge(self, other: Sketch) -> None:
        """Take in what *other* holds, which stays as it is."""
        if not other.count:
            return

        self.count += other.count
        self.sum += other.sum
        self.min = min(self.min, other.min)
        self.max = max(self.max, other.max)
        if other._exact is None:
            self._merge_bins(other)
        elif self._exact is None:
            for value, count in other._exact.items():
                self._to_bin(value, count)

            self._keep_few()
        else:
            for value, count in other._exact.items():
                self._exact[value] = self._exact.get(value, 0) + count

            self._end_exactness()

    def copy(self) -> Sketch:
        """Return another sketch of the same."""
        made = Sketch()
        made.count, made.sum, made.min, made.max = (
            self.count,
            self.sum,
            self.min,
            self.max,
        )
        made._exact = None if self._exact is None else self._exact.copy()
        made._positive = self._positive.copy()
        made._negative = self._negative.copy()
        made._zeros = self._zeros
        made._width = self._width
        return made

    def reduce(self, limit: int) -> Reduced:
        """
        Return the distribution as at most *limit* distinct values.

        The first is the minimum, the last the maximum, the counts add up to `count`
        and values times counts to `sum`, up to rounding. p50, p90, p95, p99 and p99.9
        (nearest rank) lie within 1 % of the exact ones for a limit of 16 or more,
        unless values so far apart were recorded that bins were joined.

        Args:
            limit: 3 or more; CloudWatch takes 150 in a datum, 100 in EMF.

        Raises:
            ValueError: The limit is below 3.
        """
        exact = self._exact
        if exact is not None and len(exact) <= limit > 2:  # nothing is to be merged
            rising = sorted(exact.items())
            values = tuple([value + 0.0 for value, _ in rising])
            return Reduced(values, tuple([count for _, count in rising]), 0.0)

        return reduce_bins(self._bins(), self.sum, limit)

    def split(self, limit: int) -> list[Reduced]:
        """
        Return the distribution in pieces of at most *limit* distinct values each.

        No bins are merged, so that every value lies within 1 % of what was recorded.
        Together the pieces have what `reduce` promises of one.
        """
        return split_bins(self._bins(), self.sum, limit)

    def _add_exactly(self, values: Sequence[float]) -> int:
        """Count *values* one by one; return from where on they belong into bins."""
        exact = self._exact
        if exact is None:
            return 0

        at, end = 0, len(values)
        while at < end and len(exact) <= _MOST_EXACT:
            value = values[at]
            after = bisect_right(values, value, at + 1, end)
            exact[value] = exact.get(value, 0) + after - at
            at = after

        self._end_exactness()
        return at

    def _add_to_bins(self, values: Sequence[float], start: int) -> None:
        end = len(values)
        zeros = bisect_left(values, 0.0, start)
        above = bisect_right(values, 0.0, zeros)
        self._zeros += above - zeros
        if above < end:
            _count(self._positive, values, above, self._width)

        if zeros > start:
            below = [-value for value in values[start:zeros]]
            below.reverse()
            _count(self._negative, below, 0, self._width)

        self._keep_few()

    def _to_bin(self, value: float, count: int) -> None:
        if value == 0:
            self._zeros += count
            return

        bins = self._positive if value > 0 else self._negative
        place = math.ceil(math.log(abs(value)) / self._width)
        bins[place] = bins.get(place, 0) + count

    def _end_exactness(self) -> None:
        exact = self._exact
        if exact is not None and len(exact) > _MOST_EXACT:
            self._exact = None
            for value, count in exact.items():
                self._to_bin(value, count)

            self._keep_few()

    def _merge_bins(self, other: Sketch) -> None:
        exact, self._exact = self._exact, None
        if exact:
            for value, count in exact.items():
                self._to_bin(value, count)

        self._widen(other._width)
        self._zeros += other._zeros
        joined = round(math.log2(self._width / other._width))
        for mine, theirs in (
            (self._positive, other._positive),
            (self._negative, other._negative),
        ):
            for place, count in _joined(theirs, joined).items():
                mine[place] = mine.get(place, 0) + count

        self._keep_few()

    def _keep_few(self) -> None:
        while max(len(self._positive), len(self._negative)) > _MOST_BINS:
            self._widen(self._width * 2)

    def _widen(self, width: float) -> None:
        """Join neighbours until bins are *width* wide: ours times a power of two."""
        while self._width < width:
            self._width *= 2
            self._positive = _joined(self._positive)
            self._negative = _joined(self._negative)

    def _bins(self) -> list[Bin]:
        """Return what is held as rising bins, no wider than the true extremes."""
        if self._exact is not None:
            return [Bin(v + 0.0, v + 0.0, n) for v, n in sorted(self._exact.items())]

        width, least, most = self._width, self.min, self.max
        bins: list[Bin] = []
        for place, count in sorted(self._negative.items(), reverse=True):
            low, high = -math.exp(width * place), -math.exp(width * (place - 1))
            bins.append(_clipped(low, high, count, least, most))

        if self._zeros:
            bins.append(Bin(0.0, 0.0, self._zeros))

        for place, count in sorted(self._positive.items()):
            low, high = math.exp(width * (place - 1)), math.exp(width * place)
            bins.append(_clipped(low, high, count, least, most))

        return bins


def _count(
    bins: dict[int, int], values: Sequence[float], at: int, width: float
) -> None:
    """Count rising positive *values* from *at* on, a whole bin at a time."""
    log, exp, ceil, known = math.log, math.exp, math.ceil, bins.get
    end = len(values)
    while at < end:
        place = ceil(log(values[at]) / width)
        # The first is in by definition: at a bin's very bound, rounding may differ.
        after = bisect_right(values, exp(place * width), at + 1, end)
        bins[place] = known(place, 0) + after - at
        at = after


def _joined(bins: dict[int, int], times: int = 1) -> dict[int, int]:
    """Return *bins* with neighbours joined in pairs, *times* over."""
    joined: dict[int, int] = {}
    for place, count in bins.items():
        at = -(-place >> times)  # the quotient by 2 to that power, rounded up
        joined[at] = joined.get(at, 0) + count

    return joined


def _clipped(low: float, high: float, count: int, least: float, most: float) -> Bin:
    low = min(max(low, least), most)
    return Bin(low, max(low, min(high, most)), count)
