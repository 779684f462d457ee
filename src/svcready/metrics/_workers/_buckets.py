"""Buckets of several processes as one histogram, also where their bounds differ."""

from __future__ import annotations

import math
from bisect import bisect_left
from itertools import pairwise
from typing import TYPE_CHECKING

from svcready.metrics._model import Distribution, Sample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from svcready.metrics._model import Exemplar, Family, Point

__all__ = ["add_up", "exact_sum", "later", "with_distributions"]


def add_up(given: Sequence[Distribution]) -> Distribution:
    """
    Add up distributions of one series.

    Where bounds differ (a service whose buckets are changed while it runs) the result
    has all of them, and each count lies at the upper bound of its own bucket: every
    cumulative count is at most too small, and none falls later.

    Args:
        given: At least one.
    """
    first = given[0]
    if len(given) == 1:
        return first

    total = exact_sum([each.sum for each in given])
    if all(each.bounds == first.bounds for each in given):
        counts = tuple(map(sum, zip(*(each.counts for each in given), strict=True)))
        return Distribution(
            first.labels, first.bounds, counts, total, _exemplars(given, first.bounds)
        )

    bounds = tuple(sorted({bound for each in given for bound in each.bounds}))
    added = [0] * (len(bounds) + 1)
    for each in given:
        for bound, count in zip((*each.bounds, math.inf), each.counts, strict=True):
            added[bisect_left(bounds, bound)] += count

    kept = _exemplars(given, bounds)
    return Distribution(first.labels, bounds, tuple(added), total, kept)


def exact_sum(parts: Sequence[float]) -> float:
    """Return the sum as if it was rounded once, whatever the order."""
    try:
        return parts[0] if len(parts) == 1 else math.fsum(parts)
    except (OverflowError, ValueError):  # too large, or infinities of both signs
        return sum(parts)


def later(one: Exemplar | None, other: Exemplar | None) -> Exemplar | None:
    """Return the later of two exemplars, either of which may be missing."""
    if one is None or other is None:
        return one or other

    return max(one, other, key=_recorded_at)


def with_distributions(family: Family) -> Family:
    """
    Return a histogram that came as samples as one of distributions.

    Args:
        family: A family that prometheus_client itself made, whose samples therefore
            come series by series, cumulated, in the order of rising bounds.
    """
    points: list[Point] = []
    labels: tuple[str, ...] = ()
    bounds: list[float] = []
    counts: list[int] = []
    exemplars: list[Exemplar | None] = []
    for sample in family.points:
        assert isinstance(sample, Sample)
        if sample.name.endswith("_bucket"):
            *pairs, (_, bound) = sample.labels
            bounds.append(float(bound))
            counts.append(int(sample.value))
            exemplars.append(sample.exemplar)
            if bounds[-1] == math.inf:
                labels = tuple([name for name, _ in pairs])
                values = tuple([value for _, value in pairs])
                single = (counts[0], *(high - low for low, high in pairwise(counts)))
                kept = tuple(exemplars) if any(exemplars) else ()
                points.append(
                    Distribution(values, tuple(bounds[:-1]), single, 0.0, kept)
                )
                bounds, counts, exemplars = [], [], []
        elif sample.name.endswith("_sum"):  # there is none if a bound is negative
            points[-1] = points[-1]._replace(sum=sample.value)  # type: ignore[call-arg]
        elif sample.name.endswith("_created"):
            points.append(sample)

    return family._replace(labels=labels, points=tuple(points))


def _exemplars(
    given: Sequence[Distribution], bounds: tuple[float, ...]
) -> tuple[Exemplar | None, ...]:
    kept: list[Exemplar | None] = [None] * (len(bounds) + 1)
    for each in given:
        ends = (*each.bounds, math.inf)
        for end, exemplar in zip(ends, each.exemplars, strict=False):
            if exemplar is not None:
                place = bisect_left(bounds, end)
                kept[place] = later(kept[place], exemplar)

    return tuple(kept) if any(kept) else ()


def _recorded_at(exemplar: Exemplar) -> float:
    at = exemplar.timestamp
    return 0.0 if at is None else float(at)  # type: ignore[arg-type]
