"""The instruments of OpenTelemetry's metrics API, recording into our streams."""

# ruff: noqa: SLF001 - the API keeps its gauge half private

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Generic, TypeVar

from opentelemetry import metrics

from svcready._core.guard import report_fault
from svcready.metrics._instruments._children import (
    CounterChild,
    GaugeChild,
    UpDownCounterChild,
)
from svcready.metrics._instruments._histogram_child import HistogramChild

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.context import Context
    from opentelemetry.util.types import Attributes

    from svcready.metrics.sources._otel._streams import Kept, Stream

__all__ = [
    "ObservedCounter",
    "ObservedGauge",
    "ObservedUpDownCounter",
    "RecordedCounter",
    "RecordedGauge",
    "RecordedHistogram",
    "RecordedUpDownCounter",
]

_COMPONENT = "metrics.otel"
_EXACT = 1 << 53
_KNOWN_PER_SERIES = 4

S = TypeVar("S", bound="Kept")


class _Recorder(Generic[S]):
    """
    Finds a series by attributes as they come, without spelling them again.

    Args:
        stream: Keeps the series.
        scope: The meter's name.
    """

    def __init__(self, stream: Stream[S], scope: str) -> None:
        self._stream = stream
        self._scope = scope
        # By the attributes in their order, as a library gives them again and again.
        # Values that are equal (1 and True) are one, as in OpenTelemetry's SDK.
        self._known: dict[object, S] = {}
        self._lost = stream.unkept()

    def _find(self, attributes: Mapping[str, object] | None) -> S:
        stream = self._stream
        try:
            child = stream.find(self._scope, attributes)
            if child is None:  # and not known: what finds no room is without bound
                return stream.other()

            if len(self._known) >= _KNOWN_PER_SERIES * stream.max_series:
                self._known.clear()

            with suppress(TypeError):  # a list, say, is spelt every time
                self._known[tuple(attributes.items()) if attributes else ()] = child
        except Exception as error:  # noqa: BLE001 - recording never raises
            report_fault(_COMPONENT, error)
            return self._lost

        return child


class RecordedCounter(_Recorder[CounterChild], metrics.Counter):
    """A counter: a total that only rises."""

    def add(
        self,
        amount: float,
        attributes: Attributes = None,
        context: Context | None = None,  # noqa: ARG002
    ) -> None:
        """Add *amount* to the series of *attributes*; nothing is raised."""
        try:
            child = self._known[tuple(attributes.items()) if attributes else ()]
        except Exception:  # noqa: BLE001 - new, or of no use as a key
            child = self._find(attributes)

        child.inc(amount)


class RecordedUpDownCounter(_Recorder[UpDownCounterChild], metrics.UpDownCounter):
    """An up-down counter: a total that rises and falls."""

    def add(
        self,
        amount: float,
        attributes: Attributes = None,
        context: Context | None = None,  # noqa: ARG002
    ) -> None:
        """Add *amount* to the series of *attributes*; nothing is raised."""
        try:
            child = self._known[tuple(attributes.items()) if attributes else ()]
        except Exception:  # noqa: BLE001 - new, or of no use as a key
            child = self._find(attributes)

        child.inc(amount)


class RecordedGauge(_Recorder[GaugeChild], metrics._Gauge):
    """A gauge: a level that is set."""

    def set(
        self,
        amount: float,
        attributes: Attributes = None,
        context: Context | None = None,  # noqa: ARG002
    ) -> None:
        """Set the series of *attributes*; nothing is raised."""
        try:
            child = self._known[tuple(attributes.items()) if attributes else ()]
        except Exception:  # noqa: BLE001 - new, or of no use as a key
            child = self._find(attributes)

        child.set(amount)


class RecordedHistogram(_Recorder[HistogramChild], metrics.Histogram):
    """A histogram: a distribution of values."""

    def record(
        self,
        amount: float,
        attributes: Attributes = None,
        context: Context | None = None,  # noqa: ARG002
    ) -> None:
        """Record *amount* in the series of *attributes*; nothing is raised."""
        try:
            child = self._known[tuple(attributes.items()) if attributes else ()]
        except Exception:  # noqa: BLE001 - new, or of no use as a key
            child = self._find(attributes)

        if isinstance(amount, int) and -_EXACT < amount < _EXACT:
            amount = float(amount)  # sizes are ints, and the child's short way is not

        child.observe(amount)


class ObservedCounter(metrics.ObservableCounter):
    """A counter whose callbacks its stream asks."""

    def __init__(self) -> None:
        pass


class ObservedUpDownCounter(metrics.ObservableUpDownCounter):
    """An up-down counter whose callbacks its stream asks."""

    def __init__(self) -> None:
        pass


class ObservedGauge(metrics.ObservableGauge):
    """A gauge whose callbacks its stream asks."""

    def __init__(self) -> None:
        pass
