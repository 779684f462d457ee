"""Families as prometheus_client's renderers take them, for what we don't write."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from svcready.metrics._model import Distribution, Number
from svcready.metrics.sinks._prometheus._spelling import (
    family_kind,
    family_unit,
    fitting,
    sample_name,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    import prometheus_client.metrics_core
    import prometheus_client.samples

    from svcready.metrics._model import Exemplar, Family, Sample

    Written = prometheus_client.samples.Sample

__all__ = ["Collected"]


class Collected:
    """
    What prometheus_client takes for a registry: something to collect.

    Args:
        families: What it holds.
        names: Families or samples to show; empty for all.
    """

    def __init__(
        self, families: Collection[Family], names: frozenset[str] = frozenset()
    ) -> None:
        self._families = families
        self._names = names

    def collect(self) -> Iterator[prometheus_client.metrics_core.Metric]:
        """Yield the families, those with samples only if names are asked for."""
        names = self._names
        for family in self._families:
            metric = _metric(family)
            if names and metric.name not in names:
                metric.samples = [s for s in metric.samples if s.name in names]
                if not metric.samples:
                    continue

            yield metric


def _metric(family: Family) -> prometheus_client.metrics_core.Metric:
    from prometheus_client.metrics_core import Metric

    name = family.exposition
    metric = Metric(name, family.help, family_kind(family), family_unit(family))
    if name != metric.name:  # a collector that set its name after the unit
        metric.name = name

    # One at a time, so that the garbage collector meets few of them: a renderer reads
    # them once, and a list of them all costs a third of a large scrape.
    metric.samples = _samples(family)  # type: ignore[assignment]
    return metric


def _samples(family: Family) -> Iterator[Written]:
    from prometheus_client.samples import Sample as Written
    from prometheus_client.utils import floatToGoString

    bounds: tuple[float, ...] | None = None
    spelt: tuple[str, ...] = ()
    name = sample_name(family)
    for point in family.points:
        if isinstance(point, Number):
            labels = dict(zip(family.labels, point.labels, strict=True))
            exemplar = fitting(point.exemplar) if family.kind == "counter" else None
            yield Written(name, labels, point.value, None, _exemplar(exemplar))
        elif isinstance(point, Distribution):
            if point.bounds is not bounds:
                bounds = point.bounds
                spelt = (*map(floatToGoString, bounds), "+Inf")

            yield from _buckets(family, point, spelt)
        else:
            yield _passed_on(point)


def _buckets(
    family: Family, point: Distribution, bounds: tuple[str, ...]
) -> Iterator[Written]:
    from prometheus_client.samples import Sample as Written

    name = family.exposition
    labels = dict(zip(family.labels, point.labels, strict=True))
    given = point.exemplars or (None,) * len(bounds)
    edges = (-math.inf, *point.bounds, math.inf)
    total = 0
    for place, (bound, count) in enumerate(zip(bounds, point.counts, strict=True)):
        total += count
        exemplar = fitting(given[place], edges[place], edges[place + 1])
        yield Written(
            name + "_bucket", {**labels, "le": bound}, total, None, _exemplar(exemplar)
        )

    # OpenMetrics: with a negative bound the sum may fall, so it is no counter.
    if not point.bounds or point.bounds[0] >= 0:
        yield Written(name + "_count", labels, total)
        yield Written(name + "_sum", labels, point.sum)


def _passed_on(point: Sample) -> Written:
    from prometheus_client.samples import Sample as Written

    return Written(
        point.name,
        dict(point.labels),
        point.value,
        point.timestamp,  # type: ignore[arg-type]  # handed through as it came
        _exemplar(point.exemplar),
    )


def _exemplar(given: Exemplar | None) -> prometheus_client.samples.Exemplar | None:
    from prometheus_client.samples import Exemplar

    if given is None:
        return None

    return Exemplar(dict(given.labels), given.value, given.timestamp)  # type: ignore[arg-type]
