"""What prometheus_client recorded, as the kinds of points that OTLP has."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from svcready.metrics._model import Distribution, Number, Sample

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from svcready.metrics._model import Exemplar, Family

__all__ = ["Quantiles", "of_samples"]

_UNITS = {
    "seconds": "s",
    "bytes": "By",
    "ratio": "1",
    "percent": "%",
    "celsius": "Cel",
    "meters": "m",
    "volts": "V",
    "amperes": "A",
    "joules": "J",
    "grams": "g",
}


class Quantiles(NamedTuple):
    """One series of a summary."""

    labels: tuple[str, ...]
    observations: int
    sum: float
    quantiles: tuple[tuple[float, float], ...]


def of_samples(family: Family) -> Iterator[Family]:
    """
    Yield *family*, whose points are samples, with points of OTLP's kinds.

    Counters, histograms and summaries stay what they are. All else is a gauge by the
    name of its samples: `build_info` is 1 for its labels, a state is 1 or 0.
    """
    samples = [point for point in family.points if isinstance(point, Sample)]
    if family.kind == "counter":
        names = {family.name, f"{family.name}_total"}
        yield _numbers(family, "counter", [s for s in samples if s.name in names])
    elif family.kind == "histogram":
        yield _grouped(family, samples, "le")
    elif family.kind == "summary":
        yield _grouped(family, samples, "quantile")
    else:
        by_name: dict[str, list[Sample]] = {}
        for sample in samples:
            by_name.setdefault(sample.name, []).append(sample)

        for name, found in by_name.items():
            yield _numbers(family._replace(name=name), "gauge", found)


def _numbers(family: Family, kind: str, samples: list[Sample]) -> Family:
    names = _names(samples)
    points = [
        Number(_values(dict(sample.labels), names), _number(sample), sample.exemplar)
        for sample in samples
    ]
    return _remade(family, kind, names, tuple(points))


class _Group:
    """
    The samples of one series of a histogram or summary.

    Args:
        is_histogram: Whether its marks are buckets.
    """

    def __init__(self, *, is_histogram: bool) -> None:
        self.is_histogram = is_histogram
        self.count: float | None = None
        self.sum = math.nan
        self.marks: list[tuple[float, float, Exemplar | None]] = []

    def is_countable(self) -> bool:
        """Tell whether all counts are numbers: what is none cannot be written."""
        counts = [self.count or 0.0]
        if self.is_histogram:
            counts += [value for _, value, _ in self.marks]

        return all(0 <= count < math.inf for count in counts)


def _grouped(family: Family, samples: list[Sample], mark: str) -> Family:
    groups: dict[tuple[tuple[str, str], ...], _Group] = {}
    for sample in samples:
        given = dict(sample.labels)
        at = given.pop(mark, None)
        series = tuple(given.items())
        group = groups.setdefault(series, _Group(is_histogram=mark == "le"))
        if sample.name == f"{family.name}_sum":
            group.sum = sample.value
        elif sample.name == f"{family.name}_count":
            group.count = sample.value
        elif at is not None:
            group.marks.append((float(at), sample.value, sample.exemplar))

    names = tuple(dict.fromkeys(name for labels in groups for name, _ in labels))
    points: list[Distribution | Quantiles] = []
    for labels, group in groups.items():
        if not group.is_countable():
            continue

        values = _values(dict(labels), names)
        group.marks.sort(key=lambda each: each[0])
        if mark == "le":
            points.append(_distribution(values, group))
        else:
            found = tuple([(at, value) for at, value, _ in group.marks])
            points.append(Quantiles(values, int(group.count or 0), group.sum, found))

    return _remade(family, family.kind, names, tuple(points))  # type: ignore[arg-type]


def _distribution(labels: tuple[str, ...], group: _Group) -> Distribution:
    marks = group.marks
    if not marks or marks[-1][0] != math.inf:
        last = group.count
        if last is None:
            last = marks[-1][1] if marks else 0

        marks = [*marks, (math.inf, last, None)]

    totals = [0.0, *(value for _, value, _ in marks)]
    counts = [max(0, int(after - before)) for before, after in pairwise(totals)]
    exemplars = tuple([exemplar for _, _, exemplar in marks])
    return Distribution(
        labels,
        tuple([bound for bound, _, _ in marks[:-1]]),
        tuple(counts),
        group.sum,
        exemplars if any(exemplars) else (),
    )


def _number(sample: Sample) -> float:
    """Return the value as a number, which not every collector gives."""
    value = sample.value
    return value if type(value) in {int, float} else float(value)


def _names(samples: Iterable[Sample]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for each in samples for name, _ in each.labels))


def _values(given: dict[str, str], names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple([given.get(name, "") for name in names])


def _remade(
    family: Family,
    kind: str,
    names: tuple[str, ...],
    points: tuple[Number | Distribution, ...],
) -> Family:
    unit = _UNITS.get(family.unit, family.unit)
    return family._replace(kind=kind, unit=unit, labels=names, points=points)
