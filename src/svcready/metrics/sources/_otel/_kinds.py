"""The kinds of metrics that OpenTelemetry's meters record: numbers and spreads."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from svcready._core.guard import report_fault
from svcready.metrics._instruments._children import (
    CounterChild,
    GaugeChild,
    LockedCounterChild,
    LockedGaugeChild,
    LockedUpDownCounterChild,
    UpDownCounterChild,
    adds_are_atomic,
)
from svcready.metrics._instruments._histogram_child import HistogramChild
from svcready.metrics._instruments._histograms import histogram_child
from svcready.metrics._instruments._names import check_buckets, default_buckets
from svcready.metrics._model import Number
from svcready.metrics.sources._otel._streams import Stream

if TYPE_CHECKING:
    from svcready.metrics._model import Family
    from svcready.metrics.sources._otel._streams import Limits, Shape

__all__ = [
    "NumberStream",
    "SpreadStream",
    "buckets_of",
    "counter_of",
    "gauge_of",
    "up_down_counter_of",
]

N = TypeVar("N", CounterChild, GaugeChild, UpDownCounterChild)


class NumberStream(Stream[N]):
    """
    A metric whose series are numbers.

    Args:
        shape: What it was created with.
        make: Makes what keeps a number.
    """

    def read(self) -> Family:
        """Return all series as they are now."""
        names, children = self.table()
        points: list[Number] = []
        for row, child in children.items():
            if isinstance(child, CounterChild):
                points.append(child.point(row))
            else:
                value = child.read()
                if value is not None:
                    points.append(Number(row, value))

        return self.family(names, tuple(points))


class SpreadStream(Stream[HistogramChild]):
    """
    A metric whose series are distributions.

    Args:
        shape: What it was created with.
        advice: The buckets that its library thinks best.
    """

    def __init__(self, shape: Shape, advice: tuple[float, ...]) -> None:
        self.bounds = self._advice = advice
        child_of = histogram_child()
        super().__init__(shape, lambda: child_of(self.bounds))

    def limit(self, limits: Limits) -> None:
        """Take what bounds the series, and the buckets that an operator chose."""
        super().limit(limits)
        try:
            chosen = limits.buckets_for(self.shape.name) or self._advice
            self.bounds = check_buckets(self.shape.name, chosen)
            for child in self.kept():
                child.rebucket(self.bounds)
        except Exception as error:  # noqa: BLE001 - it records on with its own
            report_fault("metrics.otel", error)

    def read(self) -> Family:
        """Return all series as they are now."""
        names, children = self.table()
        return self.family(
            names, tuple([child.read(row) for row, child in children.items()])
        )


def counter_of(shape: Shape) -> NumberStream[CounterChild]:
    """Make a stream of totals that only rise."""
    made = CounterChild if adds_are_atomic() else LockedCounterChild
    return NumberStream(shape, made)


def up_down_counter_of(shape: Shape) -> NumberStream[UpDownCounterChild]:
    """Make a stream of totals that rise and fall."""
    made = UpDownCounterChild if adds_are_atomic() else LockedUpDownCounterChild
    return NumberStream(shape, made)


def gauge_of(shape: Shape) -> NumberStream[GaugeChild]:
    """Make a stream of levels that are set."""
    return NumberStream(shape, GaugeChild if adds_are_atomic() else LockedGaugeChild)


def buckets_of(shape: Shape, advice: object) -> tuple[float, ...]:
    """Return the buckets for *advice*; those for the unit if it is none or wrong."""
    if advice:
        try:
            return check_buckets(shape.name, tuple(advice))  # type: ignore[arg-type]
        except Exception as error:  # noqa: BLE001 - a library's fault stops nothing
            report_fault("metrics.otel", error)

    return default_buckets(shape.unit)
