"""OpenTelemetry's metrics API, implemented on our streams; loading it loads the API."""

# ruff: noqa: SLF001 - the API keeps its gauge half private

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, TypeVar

from opentelemetry import metrics
from opentelemetry.metrics import _internal as otel_internal

from svcready._core import fork
from svcready._core.guard import report_fault
from svcready.metrics.sources._otel._instruments import (
    ObservedCounter,
    ObservedGauge,
    ObservedUpDownCounter,
    RecordedCounter,
    RecordedGauge,
    RecordedHistogram,
    RecordedUpDownCounter,
)
from svcready.metrics.sources._otel._kinds import (
    SpreadStream,
    buckets_of,
    counter_of,
    gauge_of,
    up_down_counter_of,
)
from svcready.metrics.sources._otel._observed import ObservedStream
from svcready.metrics.sources._otel._streams import Limits, Shape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from opentelemetry.metrics import CallbackT
    from opentelemetry.util.types import Attributes

    from svcready.metrics._instruments._children import (
        CounterChild,
        GaugeChild,
        UpDownCounterChild,
    )
    from svcready.metrics._model import Family
    from svcready.metrics.sources._otel._kinds import (
        NumberStream,
    )

    AnyStream = (
        NumberStream[CounterChild]
        | NumberStream[GaugeChild]
        | NumberStream[UpDownCounterChild]
        | SpreadStream
        | ObservedStream
    )

__all__ = ["PROVIDER", "Provider", "install"]


_log = logging.getLogger("svcready.metrics")
_NAME = re.compile(r"[a-zA-Z][-_./a-zA-Z0-9]{0,254}")
_UNIT = re.compile(r"[\x20-\x7e]{0,63}")
_COMPONENT = "metrics.otel"

M = TypeVar("M")
A = TypeVar("A", bound="AnyStream")


class _Meter(metrics.Meter):
    """A meter of a scope; equal instruments of it are one."""

    def __init__(
        self, provider: Provider, name: str, version: str | None, schema: str | None
    ) -> None:
        super().__init__(name, version, schema)
        self._provider = provider

    def create_counter(
        self, name: str, unit: str = "", description: str = ""
    ) -> metrics.Counter:
        shape = self._shape("counter", name, unit, description)
        if shape is None:
            return metrics.NoOpCounter(name, unit, description)

        stream = self._stream(shape, lambda: counter_of(shape))
        return self._one(
            RecordedCounter, shape, lambda: RecordedCounter(stream, self.name)
        )

    def create_up_down_counter(
        self, name: str, unit: str = "", description: str = ""
    ) -> metrics.UpDownCounter:
        shape = self._shape("updowncounter", name, unit, description)
        if shape is None:
            return metrics.NoOpUpDownCounter(name, unit, description)

        stream = self._stream(shape, lambda: up_down_counter_of(shape))
        made = RecordedUpDownCounter
        return self._one(made, shape, lambda: made(stream, self.name))

    def create_gauge(
        self, name: str, unit: str = "", description: str = ""
    ) -> metrics._Gauge:
        shape = self._shape("gauge", name, unit, description)
        if shape is None:
            return metrics._NoOpGauge(name, unit, description)

        stream = self._stream(shape, lambda: gauge_of(shape))
        return self._one(RecordedGauge, shape, lambda: RecordedGauge(stream, self.name))

    def create_histogram(
        self,
        name: str,
        unit: str = "",
        description: str = "",
        *,
        explicit_bucket_boundaries_advisory: Sequence[float] | None = None,
    ) -> metrics.Histogram:
        shape = self._shape("histogram", name, unit, description)
        if shape is None:
            return metrics.NoOpHistogram(name, unit, description)

        bounds = buckets_of(shape, explicit_bucket_boundaries_advisory)
        stream = self._stream(shape, lambda: SpreadStream(shape, bounds))
        return self._one(
            RecordedHistogram, shape, lambda: RecordedHistogram(stream, self.name)
        )

    def create_observable_counter(
        self,
        name: str,
        callbacks: Sequence[CallbackT] | None = None,
        unit: str = "",
        description: str = "",
    ) -> metrics.ObservableCounter:
        shape = self._shape("counter", name, unit, description)
        if shape is None:
            return metrics.NoOpObservableCounter(name, callbacks, unit, description)

        self._observe(shape, callbacks)
        return self._one(ObservedCounter, shape, ObservedCounter)

    def create_observable_up_down_counter(
        self,
        name: str,
        callbacks: Sequence[CallbackT] | None = None,
        unit: str = "",
        description: str = "",
    ) -> metrics.ObservableUpDownCounter:
        shape = self._shape("updowncounter", name, unit, description)
        if shape is None:
            noop = metrics.NoOpObservableUpDownCounter
            return noop(name, callbacks, unit, description)

        self._observe(shape, callbacks)
        return self._one(ObservedUpDownCounter, shape, ObservedUpDownCounter)

    def create_observable_gauge(
        self,
        name: str,
        callbacks: Sequence[CallbackT] | None = None,
        unit: str = "",
        description: str = "",
    ) -> metrics.ObservableGauge:
        shape = self._shape("gauge", name, unit, description)
        if shape is None:
            return metrics.NoOpObservableGauge(name, callbacks, unit, description)

        self._observe(shape, callbacks)
        return self._one(ObservedGauge, shape, ObservedGauge)

    def _shape(self, kind: str, name: str, unit: str, text: str) -> Shape | None:
        unit = unit or ""
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            _log.warning("meter %r: instrument name %.300r is no name", self.name, name)
            return None

        if not isinstance(unit, str) or not _UNIT.fullmatch(unit):
            _log.warning("instrument %r: unit %.100r is none", name, unit)
            unit = ""

        text = " ".join(str(text or "").encode("utf-8", "replace").decode().split())
        return Shape(kind, name, unit, text)

    def _observe(self, shape: Shape, callbacks: Sequence[CallbackT] | None) -> None:
        stream = self._stream(shape, lambda: ObservedStream(shape))
        stream.observe_by(self.name, callbacks)

    def _stream(self, shape: Shape, build: Callable[[], A]) -> A:
        return self._provider.stream(shape, build)

    def _one(self, kind: type[M], shape: Shape, build: Callable[[], M]) -> M:
        return self._provider.instrument(self.name, kind, shape, build)


class Provider(metrics.MeterProvider):
    """Gives meters whose measurements the process keeps, whichever runtime reads."""

    def __init__(self) -> None:
        self._limits = Limits()
        self._streams: dict[tuple[str, str, str, str], AnyStream] = {}
        self._instruments: dict[tuple[str, type, Shape], object] = {}
        self._named: dict[tuple[str, str], tuple[type, Shape]] = {}
        self._told: set[tuple[str, str]] = set()
        fork.reset_in_child(self._reset)

    def get_meter(
        self,
        name: str,
        version: str | None = None,
        schema_url: str | None = None,
        attributes: Attributes = None,  # noqa: ARG002 - the signature is the API's
    ) -> metrics.Meter:
        """Return a meter of the scope *name*; all of one name share instruments."""
        return _Meter(self, str(name or ""), version, schema_url)

    def bind(self, limits: Limits) -> None:
        """Take a runtime's limits, for all there is and all to come."""
        self._limits = limits
        for stream in self.streams():
            stream.limit(limits)

    def streams(self) -> tuple[AnyStream, ...]:
        """Return all metrics, in the order in which they came."""
        return tuple(self._streams.copy().values())

    def families(self) -> Iterator[Family]:
        """Read every metric."""
        for stream in self.streams():
            try:
                yield stream.read()
            except Exception as error:  # noqa: BLE001 - the others are read on
                report_fault(_COMPONENT, error)

    def forget(self) -> None:
        """Forget every instrument; for tests, which make the same names again."""
        for known in (self._streams, self._instruments, self._named, self._told):
            known.clear()

    def force_flush(self, timeout_millis: float = 10_000) -> bool:  # noqa: ARG002
        """Return True: sinks read, and the runtime flushes them."""
        return True

    def shutdown(self, timeout_millis: float = 30_000) -> None:
        """Do nothing, for the runtime ends the sinks; the SDK's providers have this."""

    def stream(self, shape: Shape, build: Callable[[], A]) -> A:
        """Return the one stream of *shape*, whoever's meter it is."""
        # A unit makes another metric of it: seconds and bytes have nothing to add up.
        made = build()
        key = (type(made).__name__, shape.kind, shape.name.lower(), shape.unit)
        there = self._streams.get(key)
        if there is None:
            made.limit(self._limits)
            there = self._streams.setdefault(key, made)

        assert isinstance(there, type(made))  # the key says so
        return there

    def instrument(
        self, scope: str, kind: type[M], shape: Shape, build: Callable[[], M]
    ) -> M:
        """Return the one instrument of *scope* that is like this one."""
        name = shape.name.lower()
        lowered = shape._replace(name=name)
        key = (scope, kind, lowered)
        there = self._instruments.get(key)
        if there is None:
            there = self._instruments.setdefault(key, build())

        first = self._named.setdefault((scope, name), (kind, lowered))
        if first != (kind, lowered) and (scope, name) not in self._told:
            self._told.add((scope, name))
            _tell_conflict(scope, first, (kind, lowered))

        assert isinstance(there, kind)  # the key says so
        return there

    def _reset(self) -> None:
        for stream in self.streams():
            stream.reset()


def _tell_conflict(
    scope: str, first: tuple[type, Shape], now: tuple[type, Shape]
) -> None:
    def said(one: tuple[type, Shape]) -> str:
        word = one[0].__name__.removeprefix("Recorded")
        return f"{word} unit={one[1].unit!r} description={one[1].help!r:.80}"

    _log.warning(
        "meter %r created instrument %r in two ways: %s, then %s",
        scope,
        first[1].name,
        said(first),
        said(now),
    )


PROVIDER = Provider()
"""The provider that is set as OpenTelemetry's, once per process."""


def install() -> metrics.MeterProvider | None:
    """
    Make `PROVIDER` OpenTelemetry's provider, unless the application has set one.

    Returns:
        The application's provider, which stays; None if ours is in force.
    """
    there = _provider_in_force()
    if there is None:
        # Two threads that come here at once set the same.
        otel_internal._set_meter_provider(PROVIDER, log=False)
        there = _provider_in_force()

    return None if there is PROVIDER else there


def _provider_in_force() -> metrics.MeterProvider | None:
    # The public getter would load what OTEL_PYTHON_METER_PROVIDER names, and raises
    # if that is nothing.
    there: metrics.MeterProvider | None = getattr(
        otel_internal, "_METER_PROVIDER", None
    )
    return there
