"""The collector: what was recorded in an interval, as CloudWatch's datums."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready._core.guard import guard
from svcready.metrics._histograms import BucketInstrument
from svcready.metrics._model import Distribution
from svcready.metrics._register import REGISTER
from svcready.metrics.sinks._cloudwatch._aggregate import Aggregate
from svcready.metrics.sinks._cloudwatch._foreign import labels_of, read_points
from svcready.metrics.sinks._cloudwatch._selection import HTTP_DURATION
from svcready.metrics.sinks._cloudwatch._standard import Standard
from svcready.metrics.sinks._cloudwatch._texts import (
    metric_name,
    namespace_of,
    unit_of,
)
from svcready.metrics.sinks._cloudwatch._totals import COLLECTED, sketch_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from svcready._core.identity import Identity
    from svcready.metrics._instruments import Spec
    from svcready.metrics._model import Family, Snapshot
    from svcready.metrics._register import Metric
    from svcready.metrics._sketch import Sketch
    from svcready.metrics.sinks._cloudwatch._billed import Billed
    from svcready.metrics.sinks._cloudwatch._data import Datum
    from svcready.metrics.sinks._cloudwatch._dimensions import Dimensions
    from svcready.metrics.sinks._cloudwatch._selection import Selection
    from svcready.metrics.sinks._cloudwatch._totals import Totals

    Taken = list[tuple[tuple[str, ...], Sketch]]

__all__ = ["Collector"]

_OURS = {"application", "svcready"}
_PATIENCE = 10
_alone = guard("metrics.cloudwatch")
"""Keeps one family's fault from the others, which are counted as collected."""


class Collector:
    """
    Reads what was recorded since it last did.

    Args:
        snapshot: Reads every source once.
        selection: Which metrics are sent.
        dimensions: Their dimension sets.
        identity: Who this process is.
        namespace: As configured; empty takes the service's name.
        max_series: How many series a metric of another library may have.
        billed: Told of every datum, to count what is billed.
        instruments: Returns the declared metrics.
        totals: What was collected already.
    """

    def __init__(
        self,
        snapshot: Callable[[], Snapshot],
        selection: Selection,
        dimensions: Dimensions,
        *,
        identity: Identity,
        namespace: str = "",
        max_series: int = 2000,
        billed: Billed | None = None,
        instruments: Callable[[], Iterable[Metric]] = REGISTER.things,
        totals: Totals = COLLECTED,
    ) -> None:
        self._snapshot = snapshot
        self._selection = selection
        self._dimensions = dimensions
        self._configured = namespace
        self._max_series = max_series
        self._billed = billed
        self._instruments = instruments
        self._totals = totals
        self._standard = Standard(selection.standard, dimensions)
        self.identify(identity)

    def identify(self, identity: Identity) -> None:
        """Take a new identity, which is in the dimensions of what is collected next."""
        self._dimensions.identify(identity)
        self.namespace = namespace_of(self._configured or identity.service)

    def reset(self) -> None:
        """Forget what was recorded before a fork: the parent collects it."""
        self._totals.reset()
        self._standard.reset()
        if self._billed is not None:
            self._billed.reset()

    def collect(self, only: int = 0) -> list[Datum]:
        """
        Return what was recorded since the last call, one datum for each series.

        A counter that nothing was added to gives none, for each datum is billed; the
        standard set's zeros are the exception.

        Args:
            only: A resolution: metrics stored otherwise are left for a later call.
        """
        into = Aggregate()
        declared = {metric.spec.name: metric for metric in self._instruments()}
        for family in self._snapshot().families:
            if self._takes(family.name, family.origin, only):
                owner = declared.get(family.name) if family.origin in _OURS else None
                if not isinstance(owner, BucketInstrument):
                    with _alone:
                        self._read(family, owner, into)

        for metric in declared.values():
            spec = metric.spec
            takes = self._takes(spec.name, spec.origin, only)
            if takes and isinstance(metric, BucketInstrument):
                with _alone:
                    self._distribute(spec, metric.take(), into)

        datums = into.datums()
        if self._billed is not None:
            self._billed.sent(datums)

        return datums

    def _takes(self, name: str, origin: str, only: int) -> bool:
        selection = self._selection
        if not selection.reads(name, origin):
            return False

        return not only or selection.resolution(name) == only

    def _read(self, family: Family, owner: Metric | None, into: Aggregate) -> None:
        """Read the cumulative totals and levels of any other family."""
        # What other libraries' collectors compute does not begin again at a fork; all
        # else, as it is read, does.
        goes_on = family.workers == "own"
        book = self._totals.book(family.origin, family.name, owner, goes_on=goes_on)
        labels = labels_of(family)
        most = self._max_series if owner is None else len(family.points)
        points = read_points(family, labels, book, most)
        asked = goes_on or family.origin == "otel"  # for totals that others keep
        patience = _PATIENCE if asked else 0
        book.keep_only([point.labels for point in points], patience=patience)
        family = family._replace(labels=tuple([metric_name(each) for each in labels]))
        if family.kind in {"histogram", "summary"}:
            found = [
                (point.labels, sketch_of(book.recorded(point)))
                for point in points
                if isinstance(point, Distribution)
            ]
            taken = [(values, sketch) for values, sketch in found if sketch is not None]
            self._distribute(family, taken, into)
            return

        name, unit = metric_name(family.name), unit_of(family.unit, family.kind)
        mapper = self._dimensions.mapper(family.labels)
        resolution = self._selection.resolution(family.name)
        counts = family.kind == "counter"
        for point in points:
            if isinstance(point, Distribution):  # pragma: no cover - of no such kind
                continue

            # A level is noted as well, so that its series keeps its place.
            added = book.added(point.labels, point.value if counts else 0.0)
            if counts and not added:
                continue

            for dims in mapper(point.labels):
                key = (name, dims, unit, resolution)
                if counts:
                    into.count(key, added)
                else:
                    into.level(key, point.value, family.workers)

    def _distribute(self, what: Spec | Family, taken: Taken, into: Aggregate) -> None:
        """Hand out what the series of a histogram recorded."""
        resolution = self._selection.resolution(what.name)
        if what.name == HTTP_DURATION and what.origin == "svcready":
            self._standard.read(what.labels, taken, resolution, into)

        if self._selection.sends(what.name, what.origin):
            name, unit = metric_name(what.name), unit_of(what.unit, "histogram")
            mapper = self._dimensions.mapper(what.labels)
            for values, sketch in taken:
                for dims in mapper(values):
                    into.distribute((name, dims, unit, resolution), sketch)
