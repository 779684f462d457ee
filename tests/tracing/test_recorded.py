"""Our recorded span is the SDK's to whoever looks, and takes what the API gives it."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
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
)

from svcready._transport.otlp_spans import encode_spans
from svcready.tracing import span as declared
from svcready.tracing._limits import Limits
from svcready.tracing._provider import DELEGATE
from svcready.tracing._recorded import RecordedSpan
from tests.tracing.support import make_pillar

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready.tracing._pillar import TracePillar

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN_ID = "00f067aa0ba902b7"
PARENT_ID = "53995c3f42cd8ad8"
SCOPE = InstrumentationScope("library", "1.0")
RESOURCE = Resource({"service.name": "orders"})
LINKED = SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(1))
FEW = 3

Operation = "Callable[[trace.Span], None]"


class Origin:
    """A tracer's part, which keeps what has ended."""

    scope = SCOPE
    resource = RESOURCE
    limits = Limits(FEW, FEW, FEW, FEW, FEW)

    def __init__(self) -> None:
        self.spans: list[RecordedSpan] = []
        self.ended: Callable[[RecordedSpan], None] = self.spans.append


def ours(origin: Origin) -> RecordedSpan:
    """Return a span of ours with a remote parent."""
    ids = TRACE_ID, SPAN_ID
    parent, kind = PARENT_ID, SpanKind.CLIENT
    return RecordedSpan(origin, "call", ids, 3, None, parent, True, kind, {}, 10)


def the_sdks(exporter: InMemorySpanExporter) -> trace.Span:
    """Return a span of the SDK's in the same place of the same trace."""

    class Ids:
        def generate_trace_id(self) -> int:
            return int(TRACE_ID, 16)

        def generate_span_id(self) -> int:
            return int(SPAN_ID, 16)

        def is_trace_id_random(self) -> bool:
            return True

    limits = SpanLimits(FEW, FEW, FEW, FEW, FEW, FEW)
    provider = TracerProvider(
        resource=RESOURCE,
        id_generator=Ids(),  # type: ignore[arg-type]
        span_limits=limits,
        shutdown_on_exit=False,
    )
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    parent = SpanContext(
        int(TRACE_ID, 16), int(PARENT_ID, 16), is_remote=True, trace_flags=TraceFlags(3)
    )
    context = trace.set_span_in_context(trace.NonRecordingSpan(parent))
    tracer = provider.get_tracer("library", "1.0")
    return tracer.start_span("call", context, SpanKind.CLIENT, start_time=10)


values = st.one_of(
    st.text(max_size=5),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.lists(st.text(max_size=3), max_size=2),
    st.none(),
)
keys = st.sampled_from(["a", "b", "c", "d", "e"])
attributes = st.dictionaries(keys, values, max_size=5)
statuses = st.sampled_from(
    [
        (StatusCode.OK, None),
        (StatusCode.ERROR, "broken"),
        (StatusCode.UNSET, None),
        (Status(StatusCode.ERROR, "worse"), None),
    ]
)
operations = st.one_of(
    st.tuples(st.just("set_attribute"), keys, values),
    st.tuples(st.just("set_attributes"), attributes),
    st.tuples(st.just("add_event"), keys, attributes, st.integers(1, 9)),
    st.tuples(st.just("add_link"), st.just(LINKED), attributes),
    st.tuples(st.just("update_name"), keys),
    statuses.map(lambda both: ("set_status", *both)),
    st.tuples(st.just("end"), st.integers(20, 30)),
)


@given(st.lists(operations, max_size=12))
def test_it_is_as_the_sdks(todo: list[tuple[object, ...]]) -> None:
    """The same calls leave the same span, also beyond the limits and after its end."""
    origin = Origin()
    exporter = InMemorySpanExporter()
    mine, theirs = ours(origin), the_sdks(exporter)
    for name, *arguments in [*todo, ("end", 40)]:
        getattr(mine, str(name))(*arguments)
        getattr(theirs, str(name))(*arguments)
        assert mine.is_recording() is theirs.is_recording()

    (made,), (expected,) = origin.spans, exporter.get_finished_spans()
    assert json.loads(made.to_json()) == json.loads(expected.to_json())
    assert made.dropped_attributes == expected.dropped_attributes
    assert made.dropped_events == expected.dropped_events
    assert made.dropped_links == expected.dropped_links
    assert made.context.trace_flags == expected.context.trace_flags
    assert made.parent == expected.parent
    assert made.instrumentation_scope is SCOPE
    assert encode_spans([made]) == encode_spans([expected])


def test_it_is_a_span_of_the_sdk() -> None:
    """Whoever asks for the SDK's type finds it."""
    assert isinstance(ours(Origin()), ReadableSpan)
    assert isinstance(ours(Origin()), trace.Span)


def test_it_ends_once() -> None:
    """Of many threads that end one span, one does."""
    origin = Origin()
    spans = [ours(origin) for _ in range(200)]
    barrier = threading.Barrier(4)

    def end_all() -> None:
        barrier.wait(10)
        for span in spans:
            span.end()

    threads = [threading.Thread(target=end_all) for _ in range(4)]
    for thread in threads:
        thread.start()

    for thread in threads:
        thread.join()

    assert len(origin.spans) == len(spans)


class UnsayableError(Exception):
    """An exception whose text cannot be made."""

    def __str__(self) -> str:
        """Fail at it."""
        raise RuntimeError


def test_an_exception_is_recorded_whatever_its_text_does() -> None:
    """It is on the span, and the block's own exception is the one that comes out."""
    made = make_pillar()
    made.start()
    tracer = trace.get_tracer("library")
    with pytest.raises(UnsayableError), tracer.start_as_current_span("block"):
        raise UnsayableError

    span = tracer.start_span("by hand")
    span.record_exception(UnsayableError(), {"more": 1}, 5, escaped=True)
    span.end()
    block, by_hand = made.recent()
    made.close(1.0)

    assert block.description == "UnsayableError: <no message>"
    (event,) = by_hand.events
    assert (event.name, event.time_ns) == ("exception", 5)
    assert event.attributes["exception.type"].endswith(".UnsayableError")  # type: ignore[attr-defined]
    assert event.attributes["exception.message"] == "<no message>"
    assert event.attributes["exception.escaped"] == "True"
    assert event.attributes["more"] == 1


@pytest.mark.parametrize(("flags", "warnings"), [(3, 2), (2, 0)])
def test_what_comes_too_late_is_said_where_it_is_missed(
    flags: int, warnings: int, caplog: pytest.LogCaptureFixture
) -> None:
    """On a span that was sent; of one that is not, nobody looks for anything."""
    ids, kind = (TRACE_ID, SPAN_ID), SpanKind.SERVER
    span = RecordedSpan(Origin(), "call", ids, flags, None, None, False, kind, {}, 10)
    span.end()
    span.set_attribute("late", 1)
    span.add_event("late")

    assert len(caplog.records) == warnings
    assert not span.attributes
    assert not span.events


def test_a_state_travels_with_it() -> None:
    """The caller's tracestate is on the span, and in what is sent."""
    origin = Origin()
    kind = SpanKind.SERVER
    span = RecordedSpan(
        origin, "call", (TRACE_ID, SPAN_ID), 1, "a=1,b=2", None, False, kind, {}, 10
    )
    span.end(20)

    assert span.context.trace_state.to_header() == "a=1,b=2"
    assert span.parent is None
    assert b"a=1,b=2" in encode_spans([span])


def test_only_what_others_put_in_is_looked_through(
    pillar: TracePillar, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spans that came through our own functions are clean already."""
    looked: list[object] = []
    fields = pillar._attributes._redactor.fields

    def watched(given: object, /) -> object:
        looked.append(given)
        return fields(given)  # type: ignore[arg-type]

    monkeypatch.setattr(pillar._attributes._redactor, "fields", watched)
    assert pillar._live is not None
    own = DELEGATE.current
    assert own is not None
    tracer = own.get_tracer("svcready")
    record = tracer.record  # type: ignore[attr-defined]
    span = record("clean", {"a": 1}, (TRACE_ID, SPAN_ID))
    span.put({"b": 2})
    span.end()
    assert looked == []
    span = record("raw", {}, (TRACE_ID, SPAN_ID))
    span.set_attribute("password", "hunter2")
    span.end()
    assert pillar.recent()[-1].attributes == {"password": "***"}


@pytest.mark.parametrize("how", ["attribute", "event", "name", "status", "link"])
def test_whatever_comes_by_the_api_is_redacted(how: str) -> None:
    """A declared span of ours that somebody adds to by OpenTelemetry's API is too."""
    made = make_pillar()
    made.start()
    record = DELEGATE.current.get_tracer("svcready").record  # type: ignore[union-attr]
    span = record("clean", {}, (TRACE_ID, SPAN_ID))
    {
        "attribute": lambda: span.set_attribute("said", "hunter2"),
        "event": lambda: span.add_event("said", {"what": "hunter2"}),
        "name": lambda: span.update_name("hunter2"),
        "status": lambda: span.set_status(StatusCode.ERROR, "hunter2"),
        "link": lambda: span.add_links([Link(LINKED, {"said": "hunter2"})]),
    }[how]()
    sent: list[str] = []
    sink = DELEGATE.current._sink  # type: ignore[union-attr]
    sink._takers = (lambda each: sent.append(each.to_json()),)
    span.end()
    made.close(1.0)

    assert "hunter2" not in sent[0]
    assert "***" in sent[0]


def test_what_policies_say_of_a_call_is_redacted_once(pillar: TracePillar) -> None:
    """A retry's event is on the span, which need not be looked through for it."""
    with declared("call"):
        pillar.add_event("retry.scheduled", {"attempt": 1, "password": "hunter2"})
        current = trace.get_current_span()
        assert isinstance(current, RecordedSpan)
        assert not current.is_raw

    (event,) = pillar.recent()[-1].events
    assert event.name == "retry.scheduled"
    assert event.attributes == {"attempt": 1, "password": "***"}
