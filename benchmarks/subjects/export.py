"""Sending finished spans: encoding, compression if any, and one request a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from benchmarks.subjects.tracing import ATTRIBUTES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

    from benchmarks.workload import Workload

BATCH = 500


S = TypeVar("S")


class _Export(Generic[S]):
    """One batch of finished spans that is sent again and again."""

    def __init__(
        self, spans: Sequence[S], export: Callable[[Sequence[S]], object]
    ) -> None:
        self._spans = spans
        self._export = export

    def run(self, count: int) -> None:
        """Send so many spans, a batch at a time."""
        for left in range(count, 0, -BATCH):
            self._export(self._spans[:left])

    def flush(self) -> None:
        """Do nothing: the receiver has answered."""


def repeated(spans: Sequence[S], export: Callable[[Sequence[S]], object]) -> Workload:
    """Return what has *export* send *spans* again and again."""
    return _Export(spans, export)


def ours() -> Workload:
    """Our exporter of the spans that wait in its queue."""
    import svcready

    settings = {"tracing.sampling": "100%", "tracing.export_delay_s": 3600}
    runtime = svcready.init(service="orders", version="1.4.2", settings=settings)
    for _ in range(BATCH):
        with svcready.span("charge", attributes=ATTRIBUTES):
            pass

    (lane,) = runtime.tracing._exports.lanes
    spans = [span for span, _ in lane.queue._queue]
    lane.queue._queue.clear()

    def export(batch: Sequence[ReadableSpan]) -> None:
        lost = lane.exporter.export(list(batch), lambda: 1e12, lambda _: True)
        if lost is not None:
            raise RuntimeError(lost)

    return _Export(spans, export)


def otel() -> Workload:
    """The SDK's exporter of the SDK's spans."""
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import (
        InMemorySpanExporter,
    )

    memory = InMemorySpanExporter()
    provider = TracerProvider(
        resource=Resource.create({"service.name": "orders", "service.version": "1.4.2"})
    )
    provider.add_span_processor(SimpleSpanProcessor(memory))
    tracer = trace.get_tracer("orders", tracer_provider=provider)
    for _ in range(BATCH):
        with tracer.start_as_current_span("charge", attributes=ATTRIBUTES):
            pass

    return _Export(memory.get_finished_spans(), OTLPSpanExporter().export)
