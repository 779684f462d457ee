"""An OTLP collector that parses metrics, and adds up what it gets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

from tests.tracing.collector import Collector

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

Labels = frozenset[tuple[str, str | int]]


@dataclass
class MetricsCollector(Collector):
    """An OTLP collector over HTTP that really parses the metrics it gets."""

    pushes: list[ExportMetricsServiceRequest] = field(default_factory=list)

    def take(self, body: bytes) -> None:
        """Parse and keep a request."""
        self.pushes.append(ExportMetricsServiceRequest.FromString(body))

    def say_rejected(self) -> bytes:
        """Write the answer that claims to have rejected some."""
        response = ExportMetricsServiceResponse()
        response.partial_success.rejected_data_points = self.rejected
        response.partial_success.error_message = "too many labels"
        written: bytes = response.SerializeToString()
        return written

    def metrics(self) -> Iterator[tuple[str, Metric]]:
        """Yield every metric that came, with its scope's name."""
        for push in self.pushes:
            for resource in push.resource_metrics:
                for scope in resource.scope_metrics:
                    for metric in scope.metrics:
                        yield scope.scope.name, metric

    def find(self, name: str) -> list[Metric]:
        """Return what came under *name*, in order."""
        return [metric for _, metric in self.metrics() if metric.name == name]


def labels_of(point: object) -> Labels:
    """Return a point's attributes."""
    pairs: list[tuple[str, str | int]] = []
    for pair in point.attributes:  # type: ignore[attr-defined]
        kind = pair.value.WhichOneof("value")
        pairs.append((pair.key, getattr(pair.value, kind)))

    return frozenset(pairs)


def value_of(point: object) -> float:
    """Return the value of a point of a sum or gauge."""
    value: float = getattr(point, point.WhichOneof("value"))  # type: ignore[attr-defined]
    return value
