"""The span processors that an application adds to our provider."""

# ruff: noqa: BLE001 - telemetry never raises

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.sdk.trace import SynchronousMultiSpanProcessor

from svcready._core.guard import report_fault

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor

__all__ = ["AddedProcessors"]

_COMPONENT = "tracing.processor"


class AddedProcessors:
    """Tells each of them about spans, whatever it or another raises."""

    def __init__(self) -> None:
        self._all: tuple[SpanProcessor, ...] = ()

    def add(self, processor: SpanProcessor) -> None:
        """Tell *processor* too, after those that are here."""
        self._all += (processor,)

    def begun(self, span: Span, context: Context) -> None:
        """Tell of a span that has begun in *context*."""
        for processor in self._all:
            try:
                processor.on_start(span, context)
            except Exception as error:
                report_fault(_COMPONENT, error)

    def ended(self, span: ReadableSpan) -> None:
        """Tell of a span that has ended."""
        for processor in self._all:
            try:
                processor.on_end(span)
            except Exception as error:
                report_fault(_COMPONENT, error)

    def force_flush(self, timeout_millis: int) -> bool:
        """Have all export what they hold; False if spans are left."""
        together = SynchronousMultiSpanProcessor()  # type: ignore[no-untyped-call]
        for processor in self._all:
            together.add_span_processor(processor)

        return together.force_flush(timeout_millis)
