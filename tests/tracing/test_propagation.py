"""Propagation through OpenTelemetry's API: what libraries read and write."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import baggage, propagate, trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import Getter
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from svcready.config._sections.tracing import TracingSettings
from svcready.tracing import span
from svcready.tracing._pillar import TracePillar
from svcready.tracing.propagation._propagator import Propagator, is_default
from tests.tracing.support import NONE, make_pillar

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}"
ROOT = "1-5759e988-bd862e3fe1be46a994272793"


def span_context(context: Context) -> trace.SpanContext:
    """Return the span context that *context* holds."""
    return trace.get_current_span(context).get_span_context()


@given(
    st.from_regex(r"[ \t]*[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-x)?")
    | st.text(),
    st.sampled_from([None, "a=1,b=2", "a=1", ""]),
)
def test_w3c_is_read_as_by_opentelemetry(header: str, state: str | None) -> None:
    """Where OpenTelemetry's propagator finds a caller, ours finds the same."""
    carrier = {"traceparent": header} | ({} if state is None else {"tracestate": state})
    theirs = span_context(TraceContextTextMapPropagator().extract(carrier))
    ours = span_context(Propagator(("tracecontext",)).extract(carrier))

    if header.endswith("\n"):  # theirs takes a line feed at the end
        return

    assert (ours.trace_id, ours.span_id) == (theirs.trace_id, theirs.span_id)
    assert ours.trace_flags == theirs.trace_flags & 3
    assert dict(ours.trace_state) == dict(theirs.trace_state)
    assert ours.is_remote == theirs.is_remote


def test_what_is_extracted_is_injected_again() -> None:
    """Ids, level-2 state, baggage properties and Lineage pass through."""
    propagator = Propagator(("baggage", "tracecontext", "xray"))
    headers = {
        "tracestate": "2fa@x=1,b=2",
        "baggage": "user=J%C3%BCrgen;ttl=5",
        "x-amzn-trace-id": f"Root={ROOT};Parent={SPAN};Sampled=1;Lineage=a:1",
    }
    both = propagator.extract({"traceparent": f"{PARENT}-03", **headers})
    w3c = Propagator(("tracecontext", "baggage")).extract(
        {"traceparent": f"{PARENT}-03", **headers}
    )
    xray: dict[str, str] = {}
    sent: dict[str, str] = {}
    propagator.inject(xray, both)
    propagator.inject(sent, w3c)

    assert xray["X-Amzn-Trace-Id"] == (
        f"Root={ROOT};Parent={SPAN};Sampled=1;Lineage=a:1"
    )
    assert sent["traceparent"] == f"{PARENT}-03"
    assert sent["tracestate"] == "2fa@x=1,b=2"
    assert sent["baggage"] == "user=J%C3%BCrgen;ttl=5"
    assert baggage.get_baggage("user", w3c) == "Jürgen"


def test_changed_baggage_is_written_anew() -> None:
    """An application's change wins over what came in."""
    propagator = Propagator(("baggage",))
    context = propagator.extract({"baggage": "user=7;ttl=5,other=1"})
    carrier: dict[str, str] = {}
    propagator.inject(carrier, baggage.set_baggage("user", "8", context))

    assert carrier["baggage"] == "user=8,other=1"


class Lists(Getter[list[tuple[str, str]]]):
    """Reads headers from a list of pairs, as many brokers keep them."""

    def get(self, carrier: list[tuple[str, str]], key: str) -> list[str] | None:
        """Return all values of a header."""
        return [v for k, v in carrier if k.lower() == key.lower()] or None

    def keys(self, carrier: list[tuple[str, str]]) -> list[str]:
        """Return the names."""
        return [k for k, _ in carrier]


def test_repeated_headers() -> None:
    """Two traceparents are none; several of the others are joined."""
    propagator = Propagator(("baggage", "xray", "tracecontext"))
    parent = ("traceparent", f"{PARENT}-01")
    twice = propagator.extract([parent, parent], getter=Lists())
    once = propagator.extract(
        [
            ("Traceparent", f"{PARENT}-01"),
            ("tracestate", "a=1"),
            ("tracestate", "b=2"),
            ("baggage", "x=1"),
            ("baggage", "y=2"),
            ("X-AMZN-TRACE-ID", f"Root={ROOT}"),
        ],
        getter=Lists(),
    )

    assert not span_context(twice).is_valid
    assert span_context(once).trace_id == int(TRACE, 16)
    assert dict(span_context(once).trace_state) == {"a": "1", "b": "2"}
    assert baggage.get_all(once) == {"x": "1", "y": "2"}


def test_a_foreign_fault_is_reported_not_raised(faults: object) -> None:
    """A getter or setter that fails costs the headers, not the call."""

    class Broken(Lists):
        def get(self, carrier: list[tuple[str, str]], key: str) -> list[str] | None:
            raise KeyError(key)

    propagator = Propagator(("tracecontext",))
    assert propagator.extract([], getter=Broken()) == {}
    context = propagator.extract({"traceparent": f"{PARENT}-01"})
    propagator.inject(None, context)
    claim = faults.claim  # type: ignore[attr-defined]
    assert isinstance(claim("tracing.propagation"), KeyError)
    assert isinstance(claim("tracing.propagation"), TypeError)


def test_extraction_begins_from_nothing() -> None:
    """Without headers the current span is no caller, as the API says."""
    made = make_pillar()
    made.start()
    with span("current"):
        assert propagate.extract({}) == {}

    made.close(1.0)


@pytest.mark.parametrize(
    ("header", "recorded"),
    [
        (f"Root={ROOT};Parent={SPAN};Sampled=1", True),
        (f"Root={ROOT};Parent={SPAN};Sampled=0", False),
        (f"Root={ROOT};Parent={SPAN};Sampled=?", False),
        (f"Root={ROOT};Sampled=1", True),
    ],
)
def test_a_message_decides_through_the_api(header: str, recorded: bool) -> None:
    """Spans whose parent was extracted follow the same rules as requests."""
    made = make_pillar(TracingSettings(sampling=NONE, view_spans=10))
    made.start()
    context = propagate.extract({"X-Amzn-Trace-Id": header})
    with trace.get_tracer("consumer").start_as_current_span("process", context) as one:
        assert one.is_recording() is recorded

    made.close(1.0)
    expected = "5759e988bd862e3fe1be46a994272793"
    assert [r.trace_id for r in made.recent()] == [expected] * recorded


def test_undecided_messages_follow_the_rule() -> None:
    """`Sampled=?` is our decision, here to sample all."""
    made = make_pillar()
    made.start()
    context = propagate.extract({"X-Amzn-Trace-Id": f"Root={ROOT};Sampled=?"})
    with trace.get_tracer("consumer").start_as_current_span("process", context) as one:
        assert one.is_recording()

    made.close(1.0)


def test_only_a_default_propagator_is_replaced() -> None:
    """What an application has set itself stays."""
    default = CompositePropagator(
        [TraceContextTextMapPropagator(), W3CBaggagePropagator()]
    )

    assert is_default(default)
    assert not is_default(CompositePropagator([W3CBaggagePropagator()]))
    assert not is_default(W3CBaggagePropagator())


def test_an_applications_propagator_stays() -> None:
    """And the description says so."""
    before = propagate.get_global_textmap()
    theirs = W3CBaggagePropagator()
    propagate.set_global_textmap(theirs)
    try:
        made = make_pillar()
        made.start()
        assert propagate.get_global_textmap() is theirs
        assert made.describe()["propagators"] == (
            "the application's W3CBaggagePropagator"
        )
        made.close(1.0)
    finally:
        propagate.set_global_textmap(before)


def test_an_instrumented_client_carries_the_ids(pillar: TracePillar) -> None:
    """The client's span is the block's child, and the callee is told its ids."""
    instrumentation = pytest.importorskip("opentelemetry.instrumentation.httpx")
    received: dict[str, str] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            received.update({k.lower(): v for k, v in self.headers.items()})
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    client = httpx.Client()
    instrumentation.HTTPXClientInstrumentor.instrument_client(client)
    try:
        with span("block"):
            client.get(f"http://127.0.0.1:{server.server_port}/x?password=hunter2")
    finally:
        client.close()
        server.shutdown()
        server.server_close()
        thread.join()

    call, block = pillar.recent()
    assert (call.kind, call.parent_id) == ("client", block.span_id)
    assert received["traceparent"] == f"00-{call.trace_id}-{call.span_id}-03"
    assert received["x-amzn-trace-id"] == (
        f"Root=1-{call.trace_id[:8]}-{call.trace_id[8:]};"
        f"Parent={call.span_id};Sampled=1"
    )
    assert "hunter2" not in str(call)
