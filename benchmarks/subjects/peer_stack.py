"""What users assemble today, as far as it does not depend on the framework."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from pythonjsonlogger.orjson import OrjsonFormatter

if TYPE_CHECKING:
    from collections.abc import Callable


def start_tracing(sampled: float) -> Callable[[], object]:
    """Set a provider that exports in batches over OTLP and return its flush."""
    provider = TracerProvider(
        sampler=ParentBased(TraceIdRatioBased(sampled)),
        resource=Resource.create(
            {"service.name": "orders", "service.version": "1.4.2"}
        ),
    )
    # The exporter takes its endpoint from the environment.
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    return provider.force_flush


def start_logging() -> logging.Handler:
    """Write JSON lines to standard output from now on; return the handler."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        OrjsonFormatter(
            "%(asctime)s %(levelname)s %(name)s %(message)s",
            static_fields={"service": "orders", "version": "1.4.2"},
        )
    )
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    return handler


def trace_fields() -> dict[str, str]:
    """Return the current ids as log lines carry them."""
    context = trace.get_current_span().get_span_context()
    return {
        "trace_id": format(context.trace_id, "032x"),
        "span_id": format(context.span_id, "016x"),
    }
