"""Series of other libraries, read from their samples and bounded in number."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from svcready.metrics._instruments._instrument import OTHER
from svcready.metrics._model import Distribution, Number, Sample

if TYPE_CHECKING:
    from svcready.metrics._model import Family
    from svcready.metrics.sinks._cloudwatch._totals import Book

__all__ = ["labels_of", "read_points"]

_LEVELS = {"gauge", "updowncounter", "unknown", "untyped"}
_SUFFIX = {"counter": "_total"}

_Points = list[Number | Distribution]


def labels_of(family: Family) -> tuple[str, ...]:
    """Return the family's label names; of samples, those of the first series."""
    first = next((p for p in family.points if isinstance(p, Sample)), None)
    if first is None:
        return family.labels

    return tuple([name for name, _ in first.labels if name not in {"le", "quantile"}])


def read_points(
    family: Family, labels: tuple[str, ...], book: Book, most: int
) -> _Points:
    """
    Return the series of a counter, gauge, histogram or summary.

    Args:
        family: The family, whose points may be samples.
        labels: Its label names, as `labels_of` returns them.
        book: Knows which series were there before, and so have their places.
        most: How many series there may be; further ones are one, called `__other__`.
    """
    if family.kind in {"histogram", "summary"}:
        points = _distributions(family, labels)
    elif family.kind == "counter" or family.kind in _LEVELS:
        points = _numbers(family, labels)
    else:  # info and the like tell nothing in numbers
        return []

    if len(points) <= most and not book.is_folded:
        return points

    # Once some are folded nothing gets a place any more: it may be among those.
    placed = [point for point in points if book.knows(point.labels)]
    fresh = [point for point in points if not book.knows(point.labels)]
    room = 0 if book.is_folded else most - len(placed)
    book.is_folded = True
    return placed + fresh[:room] + _folded(fresh[room:])


def _numbers(family: Family, labels: tuple[str, ...]) -> _Points:
    name = family.name + _SUFFIX.get(family.kind, "")
    points: _Points = []
    for point in family.points:
        if isinstance(point, Number):
            points.append(point)
        elif isinstance(point, Sample) and point.name == name:
            points.append(Number(_values(point, labels), point.value))

    return points


def _distributions(family: Family, labels: tuple[str, ...]) -> _Points:
    buckets: dict[tuple[str, ...], list[tuple[float, float]]] = {}
    sums: dict[tuple[str, ...], float] = {}
    points: _Points = []
    for point in family.points:
        if isinstance(point, Distribution):
            points.append(point)
        elif isinstance(point, Sample):
            suffix = point.name.removeprefix(family.name)
            values = _values(point, labels)
            if suffix == "_sum":
                sums[values] = point.value
            elif suffix == "_bucket":
                bound = float(dict(point.labels).get("le", "nan"))
                buckets.setdefault(values, []).append((bound, point.value))
            elif suffix == "_count" and family.kind == "summary":
                buckets.setdefault(values, []).append((math.inf, point.value))

    for values, cumulated in buckets.items():
        if all(math.isfinite(count) for _, count in cumulated):  # else nobody can tell
            total = sums.get(values, 0.0)
            points.append(_distribution(values, sorted(cumulated), total))

    return points


def _distribution(
    labels: tuple[str, ...], cumulated: list[tuple[float, float]], total: float
) -> Distribution:
    bounds = tuple([bound for bound, _ in cumulated if math.isfinite(bound)])
    counts, below = [], 0
    for _, count in cumulated:
        counts.append(int(count) - below)
        below = int(count)

    return Distribution(labels, bounds, tuple(counts), total)


def _values(sample: Sample, labels: tuple[str, ...]) -> tuple[str, ...]:
    if tuple([name for name, _ in sample.labels]) == labels:
        return tuple([value for _, value in sample.labels])

    by_name = dict(sample.labels)
    return tuple([by_name.get(label, "") for label in labels])


def _folded(rest: _Points) -> _Points:
    """Fold what finds no place into one series."""
    if not rest:
        return []

    other = (OTHER,) * len(rest[0].labels)
    number, folded = 0.0, None
    for point in rest:
        if isinstance(point, Number):
            number += point.value
        elif folded is None or folded.bounds != point.bounds:
            folded = point._replace(labels=other)
        else:
            counts = [a + b for a, b in zip(folded.counts, point.counts, strict=True)]
            folded = folded._replace(counts=tuple(counts), sum=folded.sum + point.sum)

    return [folded if folded is not None else Number(other, number)]
