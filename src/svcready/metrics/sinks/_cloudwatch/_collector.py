"""The collector: what was recorded in an interval, as CloudWatch's datums."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready._core import fork
from svcready._core.clock import SYSTEM_CLOCK
from svcready._core.guard import guard
from svcready.metrics._instruments._histograms import BucketInstrument
from svcready.metrics._instruments._register import REGISTER
from svcready.metrics._model import Distribution, Number
from svcready.metrics.sinks._cloudwatch._aggregate import Aggregate
from svcready.metrics.sinks._cloudwatch._foreign import labels_of, read_points
from svcready.metrics.sinks._cloudwatch._levels import RecentLevels
from svcready.metrics.sinks._cloudwatch._plans import make_plans
from svcready.metrics.sinks._cloudwatch._selection import HTTP_DURATION
from svcready.metrics.sinks._cloudwatch._standard import Standard
from svcready.metrics.sinks._cloudwatch._texts import (
    metric_name,
    namespace_of,
    unit_of,
)
from svcready.metrics.sinks._cloudwatch._totals import COLLECTED, sketch_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from svcready._core.clock import Clock
    from svcready._core.identity import Identity
    from svcready.metrics._instruments._histograms import Histogram
    from svcready.metrics._instruments._instrument import Spec
    from svcready.metrics._instruments._register import Metric
    from svcready.metrics._instruments._sketch import Sketch
    from svcready.metrics._instruments._timer import Timer
    from svcready.metrics._model import Family, Snapshot
    from svcready.metrics.sinks._cloudwatch._billed import Billed
    from svcready.metrics.sinks._cloudwatch._data import Datum
    from svcready.metrics.sinks._cloudwatch._dimensions import Dimensions
    from svcready.metrics.sinks._cloudwatch._plans import Plan
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
        clock: Tells which flushes come at the same moment.
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
        instruments: Callable[[], Sequence[Metric]] = REGISTER.things,
        totals: Totals = COLLECTED,
        clock: Clock = SYSTEM_CLOCK,
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
        self._recent = RecentLevels(clock)
        self._plans: dict[str, Plan] = {}
        self._levels: list[Plan] = []
        self._histograms: list[tuple[Plan, Histogram | Timer]] = []
        self._settled: Sequence[Metric] = ()
        self.identify(identity)

    def identify(self, identity: Identity) -> None:
        """Take a new identity, which is in the dimensions of what is collected next."""
        self._dimensions.identify(identity)
        self._forget_plans()
        self.namespace = namespace_of(self._configured or identity.service)

    def reset(self) -> None:
        """Forget what was recorded before a fork: the parent collects it."""
        self._totals.reset()
        self._forget_plans()
        self._standard.reset()
        self._recent.forget()
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
        plans = self._settle()
        if self._selection.takes_others or not plans:
            self._read_all(plans, only, into)
        else:
            for plan in self._levels:
                if not only or plan.resolution == only:
                    with _alone:
                        plan.read(into)

        for plan, histogram in self._histograms:
            if not only or plan.resolution == only:
                with _alone:
                    taken = histogram.take()
                    if taken:
                        self._distribute(histogram.spec, taken, into)

        datums = self._recent.without(into.datums())
        if self._billed is not None:
            self._billed.sent(datums)

        return datums

    def _forget_plans(self) -> None:
        self._plans, self._levels, self._histograms, self._settled = {}, [], [], ()

    def _settle(self) -> dict[str, Plan]:
        """Return how declared metrics are read; the same until one is declared."""
        metrics = self._instruments()
        if metrics is not self._settled:
            plans = make_plans(metrics, self._selection, self._dimensions, self._totals)
            self._plans = {plan.metric.spec.name: plan for plan in plans}
            self._levels, self._histograms = [], []
            for plan in plans:
                metric = plan.metric
                if isinstance(metric, BucketInstrument):
                    self._histograms.append((plan, metric))
                else:
                    self._levels.append(plan)

            self._settled = metrics

        return self._plans

    def _read_all(self, plans: Mapping[str, Plan], only: int, into: Aggregate) -> None:
        """Read whatever a snapshot has, but the declared histograms."""
        selection = self._selection
        for family in self._snapshot().families:
            if not selection.reads(family.name, family.origin):
                continue

            if not only or selection.resolution(family.name) == only:
                plan = plans.get(family.name) if family.origin in _OURS else None
                with _alone:
                    if plan is None:
                        self._read(family, into)
                    elif not isinstance(plan.metric, BucketInstrument):
                        plan.read(into)

    def _read(self, family: Family, into: Aggregate) -> None:
        """Read the cumulative totals and levels of a family that is not declared."""
        # What other libraries' collectors compute does not begin again at a fork; all
        # else, as it is read, does.
        goes_on = family.workers == "own"
        book = self._totals.book(family.origin, family.name, goes_on=goes_on)
        labels = labels_of(family)
        points = read_points(family, labels, book, self._max_series)
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
            assert isinstance(point, Number)  # the others went above
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


def _begin_again() -> None:
    # The child may make its first collector only later.
    COLLECTED.reset()


fork.reset_in_child(_begin_again)
