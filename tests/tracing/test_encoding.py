"""Our encoding of spans against OpenTelemetry's own, read by the official parser."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    Link,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
)

from svcready._transport.otlp_spans import encode_spans
from tests.examples import examples

_encoder = pytest.importorskip("opentelemetry.exporter.otlp.proto.common.trace_encoder")
_service = pytest.importorskip(
    "opentelemetry.proto.collector.trace.v1.trace_service_pb2"
)
official = _encoder.encode_spans
ExportTraceServiceRequest = _service.ExportTraceServiceRequest

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
atoms = (
    text
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.binary(max_size=20)
    | st.none()
)
values = st.recursive(
    atoms,
    lambda inner: (
        st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(text.filter(bool), inner, max_size=3)
    ),
    max_leaves=6,
)
attributes = st.dictionaries(text.filter(bool), values, max_size=5)
times = st.integers(0, 2**64 - 1)
contexts = st.builds(
    SpanContext,
    st.integers(1, 2**128 - 1),
    st.integers(1, 2**64 - 1),
    st.booleans(),
    st.sampled_from([TraceFlags(1), TraceFlags(3)]),
    st.sampled_from([TraceState(), TraceState([("a", "1"), ("b", "2")])]),
)
RESOURCES = [Resource({}), Resource({"service.name": "ö", "n": 1}, "https://s/1")]
SCOPES = [
    None,
    InstrumentationScope("a"),
    InstrumentationScope("b", "1", "https://s/2", {"k": "v"}),
]
spans = st.builds(
    ReadableSpan,
    name=text,
    context=contexts,
    parent=st.none() | contexts,
    resource=st.sampled_from(RESOURCES),
    attributes=attributes,
    events=st.lists(st.builds(Event, text, attributes, times), max_size=3),
    links=st.lists(st.builds(Link, contexts, attributes), max_size=3),
    kind=st.sampled_from(list(SpanKind)),
    status=st.sampled_from(
        [
            Status(),
            Status(StatusCode.OK),
            Status(StatusCode.ERROR),
            Status(StatusCode.ERROR, "went wrong" * 30),
        ]
    ),
    start_time=times,
    end_time=times,
    instrumentation_scope=st.sampled_from(SCOPES),
)


@settings(max_examples=examples(100), deadline=None)
@given(st.lists(spans, max_size=5))
def test_any_spans_are_the_same_message(batch: list[ReadableSpan]) -> None:
    """The parser reads from our bytes what it reads from the official encoder's."""
    ours = ExportTraceServiceRequest.FromString(encode_spans(batch))

    assert ours == official(batch)


def test_dropped_counts_are_kept() -> None:
    """What the SDK's own limits dropped is said in the message."""
    from opentelemetry.sdk.trace import SpanLimits

    exporter = InMemorySpanExporter()
    limits = SpanLimits(max_span_attributes=1, max_events=1, max_links=1)
    provider = TracerProvider(span_limits=limits, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    link = Link(SpanContext(1, 2, is_remote=True), {"k": 1})
    span = provider.get_tracer("t").start_span("x", links=[link, link, link])
    span.set_attributes({"a": 1, "b": 2})
    span.add_event("one")
    span.add_event("two")
    span.end()
    batch = exporter.get_finished_spans()

    message = ExportTraceServiceRequest.FromString(encode_spans(batch))

    assert message == official(batch)
    (sent,) = message.resource_spans[0].scope_spans[0].spans
    assert sent.dropped_attributes_count == 1
    assert sent.dropped_events_count == 1
    assert sent.dropped_links_count == 2


def test_text_without_utf_8_costs_only_its_characters() -> None:
    """Lone surrogates become question marks; everything else arrives."""
    span = ReadableSpan(
        "a\udc80",
        context=SpanContext(1, 2, is_remote=False),
        resource=Resource({}),
        attributes={"k\udc80": "v\udc80", "odd": object},  # type: ignore[dict-item]
        start_time=1,
        end_time=2,
    )

    message = ExportTraceServiceRequest.FromString(encode_spans([span]))

    (sent,) = message.resource_spans[0].scope_spans[0].spans
    assert sent.name == "a?"
    assert (sent.attributes[0].key, sent.attributes[0].value.string_value) == (
        "k?",
        "v?",
    )
    assert sent.attributes[1].value.string_value == "<class 'object'>"
