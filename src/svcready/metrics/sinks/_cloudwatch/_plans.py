"""Plans: how each declared metric is read, settled once for all intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.metrics._histograms import BucketInstrument
from svcready.metrics.sinks._cloudwatch._selection import HTTP_DURATION
from svcready.metrics.sinks._cloudwatch._texts import metric_name, unit_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from svcready.metrics._register import Metric
    from svcready.metrics.sinks._cloudwatch._aggregate import Aggregate
    from svcready.metrics.sinks._cloudwatch._data import Key
    from svcready.metrics.sinks._cloudwatch._dimensions import Dimensions
    from svcready.metrics.sinks._cloudwatch._selection import Selection
    from svcready.metrics.sinks._cloudwatch._totals import Book

__all__ = ["Plan", "make_plans"]

_MOST_KEPT = 100_000


class Plan:
    """
    One declared metric on its way to CloudWatch.

    Args:
        metric: The instrument.
        selection: Says that it is read, and how it is stored.
        dimensions: Its dimension sets.
    """

    __slots__ = (
        "_keys",
        "_mapper",
        "_workers",
        "counts",
        "is_standard",
        "metric",
        "name",
        "resolution",
        "sends",
        "unit",
    )

    def __init__(
        self, metric: Metric, selection: Selection, dimensions: Dimensions
    ) -> None:
        spec = metric.spec
        self.metric = metric
        self.name = metric_name(spec.name)
        self.unit = unit_of(spec.unit, _KINDS.get(spec.kind, spec.kind))
        self.resolution = selection.resolution(spec.name)
        self.sends = selection.sends(spec.name, spec.origin)
        """Whether it is sent under its own name."""
        self.is_standard = spec.name == HTTP_DURATION and spec.origin == "svcready"
        """Whether the standard set is made from it."""
        self.counts = spec.kind == "counter"
        """Whether what was added is sent, and not where it is."""
        self._workers = spec.workers
        self._mapper = dimensions.mapper(spec.labels)
        self._keys: dict[tuple[str, ...], tuple[Key, ...]] = {}

    def keys(self, labels: tuple[str, ...]) -> tuple[Key, ...]:
        """Return what the series of *labels* is on CloudWatch, for each set."""
        found = self._keys.get(labels)
        if found is None:
            if len(self._keys) >= _MOST_KEPT:
                self._keys.clear()

            found = self._keys[labels] = tuple(
                [
                    (self.name, dims, self.unit, self.resolution)
                    for dims in self._mapper(labels)
                ]
            )

        return found

    def read(self, book: Book, into: Aggregate) -> None:
        """Read a counter's or a level's series, none of which ever goes."""
        metric = self.metric
        assert not isinstance(metric, BucketInstrument)
        for labels, child in metric.children().items():
            value = child.read()
            if value is None:  # nobody could observe it now
                continue

            # A level is noted as well, so that its series keeps its place.
            added = book.added(labels, value if self.counts else 0.0)
            if not self.counts:
                for key in self.keys(labels):
                    into.level(key, value, self._workers)
            elif added:
                for key in self.keys(labels):
                    into.count(key, added)


_KINDS = {"timer": "histogram", "up_down_counter": "updowncounter"}
"""What families are called that are declared by another word."""


def make_plans(
    metrics: Iterable[Metric], selection: Selection, dimensions: Dimensions
) -> list[Plan]:
    """Return how those of *metrics* are read of which anything is sent."""
    return [
        Plan(metric, selection, dimensions)
        for metric in metrics
        if selection.reads(metric.spec.name, metric.spec.origin)
    ]
