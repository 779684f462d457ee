"""Metrics that packages for HTTP clients record, by their stable names."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, cast

from opentelemetry.metrics import get_meter_provider

from svcready.tracing.instrumentation._translating import told_by_metrics

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.context import Context
    from opentelemetry.metrics import Histogram, Meter
    from opentelemetry.util.types import AttributeValue

__all__ = ["StableMeters"]

# Of the convention for the metric.
_SECONDS = tuple(
    each / 1000
    for each in (5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10000)
)


class _Stable(NamedTuple):
    """What an old histogram is called now."""

    name: str
    unit: str
    factor: float
    buckets: tuple[float, ...] | None = None


_STABLE = {
    "http.client.duration": _Stable(
        "http.client.request.duration", "s", 0.001, _SECONDS
    ),
    "http.client.request.size": _Stable("http.client.request.body.size", "By", 1),
    "http.client.response.size": _Stable("http.client.response.body.size", "By", 1),
}


class StableMeters:
    """The meter provider in force, with the histograms of old names as new ones."""

    def get_meter(
        self,
        name: str,
        version: str | None = None,
        schema_url: str | None = None,
        attributes: Mapping[str, AttributeValue] | None = None,
    ) -> Meter:
        """Return a meter of the provider in force."""
        provider = get_meter_provider()
        meter = provider.get_meter(name, version, schema_url, attributes)
        return cast("Meter", _Meter(meter))


class _Meter:
    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    def __getattr__(self, name: str) -> object:
        return getattr(self._meter, name)

    def create_histogram(self, name: str, **given: object) -> Histogram:
        """Create a histogram, by its stable name if it has another one."""
        stable = _STABLE.get(name)
        if stable is None:
            return self._meter.create_histogram(name, **given)  # type: ignore[arg-type]

        made = self._meter.create_histogram(
            stable.name,
            stable.unit,
            str(given.get("description", "")),
            explicit_bucket_boundaries_advisory=stable.buckets,
        )
        return cast("Histogram", _Histogram(made, stable.factor))


class _Histogram:
    def __init__(self, histogram: Histogram, factor: float) -> None:
        self._histogram = histogram
        self._factor = factor

    def record(
        self,
        amount: float,
        attributes: Mapping[str, AttributeValue] | None = None,
        context: Context | None = None,
    ) -> None:
        """Record *amount*, converted, under the stable attributes."""
        told = told_by_metrics(attributes or {})
        self._histogram.record(amount * self._factor, told, context)
