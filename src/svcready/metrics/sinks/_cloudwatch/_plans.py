"""Plans: how each declared metric is read, settled once for all intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.metrics._instruments._histograms import BucketInstrument
from svcready.metrics.sinks._cloudwatch._texts import metric_name, unit_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from svcready.metrics._instruments._register import Metric
    from svcready.metrics.sinks._cloudwatch._aggregate import Aggregate
    from svcready.metrics.sinks._cloudwatch._data import Key
    from svcready.metrics.sinks._cloudwatch._dimensions import Dimensions
    from svcready.metrics.sinks._cloudwatch._selection import Selection
    from svcready.metrics.sinks._cloudwatch._totals import Totals

    _Series = tuple[tuple[str, ...], tuple[Key, ...], Callable[[], float | None]]
    """Label values, what they are on CloudWatch for each set, and what reads."""

__all__ = ["Plan", "make_plans"]


class Plan:
    """
    One declared metric on its way to CloudWatch.

    Args:
        metric: The instrument.
        selection: Says that it is read, and how it is stored.
        dimensions: Its dimension sets.
        totals: What was collected already.
    """

    __slots__ = (
        "_book",
        "_counts",
        "_mapper",
        "_series",
        "_workers",
        "metric",
        "name",
        "resolution",
        "unit",
    )

    def __init__(
        self,
        metric: Metric,
        selection: Selection,
        dimensions: Dimensions,
        totals: Totals,
    ) -> None:
        spec = metric.spec
        self.metric = metric
        self.name = metric_name(spec.name)
        self.unit = unit_of(spec.unit, _KINDS.get(spec.kind, spec.kind))
        self.resolution = selection.resolution(spec.name)
        self._counts = spec.kind == "counter"
        self._workers = spec.workers
        self._mapper = dimensions.mapper(spec.labels)
        self._book = totals.book(spec.origin, spec.name, metric)
        self._series: list[_Series] = []

    def read(self, into: Aggregate) -> None:
        """Read a counter's or a level's series."""
        series = self._series
        if len(series) != self.metric.series:  # they only become more
            series = self._series = self._find_series()

        added_to = self._book.added
        if self._counts:
            for labels, keys, read in series:
                added = added_to(labels, read() or 0.0)
                if added:
                    for key in keys:
                        into.count(key, added)

            return

        for labels, keys, read in series:
            value = read()
            if value is not None:  # else nobody could observe it now
                added_to(labels, 0.0)  # so that its series keeps its place
                for key in keys:
                    into.level(key, value, self._workers)

    def _find_series(self) -> list[_Series]:
        metric = self.metric
        assert not isinstance(metric, BucketInstrument)
        return [
            (
                labels,
                tuple(
                    [
                        (self.name, dims, self.unit, self.resolution)
                        for dims in self._mapper(labels)
                    ]
                ),
                child.read,
            )
            for labels, child in metric.children().items()
        ]


_KINDS = {"timer": "histogram", "up_down_counter": "updowncounter"}
"""What families are called that are declared by another word."""


def make_plans(
    metrics: Iterable[Metric],
    selection: Selection,
    dimensions: Dimensions,
    totals: Totals,
) -> list[Plan]:
    """Return how those of *metrics* are read of which anything is sent."""
    return [
        Plan(metric, selection, dimensions, totals)
        for metric in metrics
        if selection.reads(metric.spec.name, metric.spec.origin)
    ]
