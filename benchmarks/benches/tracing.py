"""What spans and their headers cost."""

from __future__ import annotations

from benchmarks.model import Bench, Group, Subject

SPANS = 1000
"""Per round: half of the SDK's queue, so nothing is dropped instead of exported."""


def _other(
    label: str, factory: str, sampled: float, setup: str, spans: float = 0.0
) -> Subject:
    return Subject(
        label,
        f"tracing_distros:{factory}",
        setup,
        {"sampled": sampled},
        distro=label != "X-Ray SDK",
        spans=spans,
    )


SPAN_OFF = Bench(
    "span unsampled",
    Group.TRACING,
    (
        Subject("svcready", "tracing:ours_unsampled", "in a request", ours=True),
        Subject("OTel SDK", "tracing:otel_unsampled", "in a server span"),
        _other("X-Ray SDK", "xray_sdk", 0.0, "in a segment"),
        _other("ADOT", "adot", 0.0, "in a server span"),
        _other("logfire", "logfire", 0.0, "in a span"),
    ),
)

SPAN_ON = Bench(
    "span sampled",
    Group.TRACING,
    (
        Subject("svcready", "tracing:ours_sampled", "exported", ours=True, spans=0.99),
        Subject("OTel SDK", "tracing:otel_sampled", "batch, OTLP", spans=0.99),
        _other("X-Ray SDK", "xray_sdk", 1.0, "UDP, annotations"),
        _other("ADOT", "adot", 1.0, "its configurator, OTLP", spans=0.99),
        _other("logfire", "logfire", 1.0, "OTLP", spans=0.99),
    ),
    count=SPANS,
)

EXTRACT = Bench(
    "extract",
    Group.TRACING,
    (
        Subject("svcready", "tracing:ours_extract", "W3C alone", ours=True),
        Subject("all formats", "tracing:ours_extract_all", "by default", ours=True),
        Subject("OTel", "tracing:otel_extract", "TraceContextTextMapPropagator"),
    ),
)

INJECT = Bench(
    "inject",
    Group.TRACING,
    (
        Subject("svcready", "tracing:ours_inject", "W3C, in a request", ours=True),
        Subject("all formats", "tracing:ours_inject_all", "by default", ours=True),
        Subject("OTel", "tracing:otel_inject", "TraceContextTextMapPropagator"),
    ),
)

SAMPLING = Bench(
    "sampling decision",
    Group.TRACING,
    (
        Subject("svcready", "sampling:ours", "50 rules of a file", ours=True),
        Subject("ADOT", "sampling:adot", "the same 50 rules", distro=True),
    ),
)

EXPORT = Bench(
    "export",
    Group.TRACING,
    (
        Subject("svcready", "export:ours", "500 a request", ours=True, spans=0.99),
        Subject("OTel SDK", "export:otel", "500 a request", spans=0.99),
    ),
    count=SPANS,
)

EXPORT_XRAY = Bench(
    "export to X-Ray",
    Group.TRACING,
    (
        Subject("svcready", "xray:ours", "a document a span, UDP", ours=True),
        Subject("X-Ray SDK", "xray:xray_sdk", "a segment each, UDP"),
    ),
    count=SPANS,
)

BENCHES = (
    SPAN_OFF,
    SPAN_ON,
    EXPORT,
    EXPORT_XRAY,
    EXTRACT,
    INJECT,
    SAMPLING,
)
