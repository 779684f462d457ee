"""Reducing: many bins of a distribution as few values that say nearly the same."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Bin", "Reduced", "reduce_bins", "split_bins"]

_QUANTILES = (0.5, 0.9, 0.95, 0.99, 0.999)
_NEAR = 2
_ROOM_FOR_QUANTILES = 16  # two ends, five of these, the runs between, both signs
_ROOM_FOR_NEIGHBOURS = 60
_HALVINGS = 8


class Bin(NamedTuple):
    """How many values lie between two bounds, or are exactly one where these agree."""

    low: float
    high: float
    times: int


class Reduced(NamedTuple):
    """A distribution as few distinct values, rising, with how often each was."""

    values: tuple[float, ...]
    counts: tuple[int, ...]
    error: float
    """The largest relative error that a recorded value can have in it, near the
    quantiles and elsewhere; 0 if all are exact."""


class _Value(NamedTuple):
    """A value that stands for all that was recorded between two bounds."""

    value: float
    times: int
    low: float
    high: float


def reduce_bins(bins: Sequence[Bin], total: float, limit: int) -> Reduced:
    """
    Return *bins*, which rise, as at most *limit* values whose sum is *total*.

    The least and the greatest bound stand for themselves, as values that were
    recorded. The bins at p50, p90, p95, p99 and p99.9 stay alone, with their
    neighbours; elsewhere bins are merged at equal relative width.

    Raises:
        ValueError: The limit is below 3.
    """
    if limit < 3:
        raise ValueError(f"a limit of {limit} values: 3 are the fewest")

    values = _valued(bins, total)
    if len(values) > limit:
        values = _distinct([values[0], *_grouped(values, limit - 2), values[-1]])

    return _reduced(values)


def split_bins(bins: Sequence[Bin], total: float, limit: int) -> list[Reduced]:
    """Return *bins*, which rise, unmerged in pieces of at most *limit* values."""
    values = _valued(bins, total)
    pieces = range(0, len(values), limit)
    return [_reduced(values[at : at + limit]) for at in pieces]


def _valued(bins: Sequence[Bin], total: float) -> list[_Value]:
    """
    Place a value in every bin, both ends apart, so that they add up to *total*.

    What was recorded lies somewhere in its bin, so one factor from 0 to 1, the same
    for all bins, tells how far above its lower bound each value has to be.
    """
    if not bins:
        return []

    least, most = bins[0].low, bins[-1].high
    first, inner, last = _without_ends(bins)
    lowest = sum([count * low for low, _, count in inner])
    slack = sum([count * (high - low) for low, high, count in inner])
    wanted = total - least * first - most * last
    factor = (wanted - lowest) / slack if slack > 0 else 0.0
    if math.isnan(factor):  # the sum is beyond what a float holds
        factor = 0.5

    factor = min(max(factor, 0.0), 1.0)
    return _distinct(
        [
            _Value(least, first, least, least),
            *(
                _Value(low + factor * (high - low), count, low, high)
                for low, high, count in inner
            ),
            _Value(most, last, most, most),
        ]
    )


def _without_ends(bins: Sequence[Bin]) -> tuple[int, list[Bin], int]:
    """Return how often the least value is known to be, the rest, and the greatest."""
    inner = list(bins)
    low, high, count = inner[0]
    first = count if low == high else 1
    inner[0] = Bin(low, high, count - first)
    low, high, count = inner[-1]
    last = count if low == high else min(count, 1)
    inner[-1] = Bin(low, high, count - last)
    return first, [held for held in inner if held.times], last


def _distinct(values: Iterable[_Value]) -> list[_Value]:
    """Return *values* strictly rising, equal neighbours as one."""
    rising: list[_Value] = []
    for held in values:
        if not held.times:
            continue

        # Rounding may have put a mean an ulp below its neighbour.
        if rising and held.value <= rising[-1].value:
            before = rising[-1]
            rising[-1] = _Value(
                before.value, before.times + held.times, before.low, held.high
            )
        else:
            rising.append(held)

    return rising


def _grouped(values: Sequence[_Value], limit: int) -> list[_Value]:
    """Merge all *values* but both ends into at most *limit*."""
    cuts = _cuts(values, limit)
    inner = values[1:-1]
    return [
        _merged(inner[at:end]) if end - at > 1 else inner[at]
        for at, end in pairwise(cuts)
    ]


def _merged(values: Sequence[_Value]) -> _Value:
    count = sum([held.times for held in values])
    mean = sum([held.value * (held.times / count) for held in values])
    low, high = values[0].low, values[-1].high
    return _Value(min(max(mean, low), high), count, low, high)


def _cuts(values: Sequence[_Value], limit: int) -> list[int]:
    """Return where groups of the inner *values* begin, and the end of the last."""
    inner = values[1:-1]
    size = len(inner)
    if limit + 2 < _ROOM_FOR_QUANTILES:
        return [*range(0, size, math.ceil(size / limit)), size]

    alone = _near_quantiles(values, _NEAR if limit + 2 >= _ROOM_FOR_NEIGHBOURS else 0)
    plain = [held.value for held in inner]
    # Ratios are what is kept, so zero stays alone and no group crosses it.
    zero = (bisect_left(plain, 0.0), bisect_right(plain, 0.0))
    edges = sorted({0, size, *zero, *alone, *(at + 1 for at in alone)})
    places = [_place(value) for value in plain]
    runs = list(pairwise(edges))
    span = sum([places[end - 1] - places[at] for at, end in runs])
    free = limit - len(runs)
    widest = span / free if free > 0 else math.inf
    best = _runs_cut(places, runs, widest)
    low, high = 0.0, widest
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        tried = _runs_cut(places, runs, middle)
        if len(tried) <= limit:
            best, high = tried, middle
        else:
            low = middle

    return [*best, size]


def _runs_cut(
    places: Sequence[float], runs: Sequence[tuple[int, int]], widest: float
) -> list[int]:
    """Return where groups begin if none of them may span more than *widest*."""
    cuts: list[int] = []
    for start, end in runs:
        at = start
        while at < end:
            cuts.append(at)
            at = bisect_right(places, places[at] + widest, at + 1, end)

    return cuts


def _near_quantiles(values: Sequence[_Value], near: int) -> set[int]:
    """Return which of the inner *values* hold a quantile, or are next to one."""
    ranks = list(accumulate([held.times for held in values]))
    inner = range(len(values) - 2)
    return {
        place
        for quantile in _QUANTILES
        for at in (bisect_left(ranks, math.ceil(quantile * ranks[-1])) - 1,)
        for place in range(at - near, at + near + 1)
        if place in inner
    }


def _place(value: float) -> float:
    """Return where *value* is on a scale on which equal ratios are equally far."""
    if not value:
        return 0.0

    return math.log(value) if value > 0 else -math.log(-value)


def _reduced(values: Sequence[_Value]) -> Reduced:
    return Reduced(
        tuple([held.value for held in values]),
        tuple([held.times for held in values]),
        max(map(_error, values), default=0.0),
    )


def _error(held: _Value) -> float:
    """Return how far a value between the bounds can be from what stands for it."""
    value, _, low, high = held
    if low == high:
        return 0.0

    if low < 0 < high:  # worst where one of the other sign is as great as it
        opposite = -low if value > 0 else high
        return 1.0 + (min(opposite / abs(value), 1.0) if value else 0.0)

    below = abs(value - low) / (abs(low) or abs(value))
    above = abs(high - value) / (abs(high) or abs(value))
    return max(below, above)
