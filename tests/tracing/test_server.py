"""The server's side: from a request's headers to its finished span."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry import baggage, propagate, trace

from svcready.config._sections.tracing import TracingSettings
from svcready.tracing import span
from svcready.tracing._otel import current, span_ids
from tests.tracing.support import NONE, make_pillar

if TYPE_CHECKING:
    from collections.abc import Iterator

    from svcready.tracing._pillar import TracePillar
    from svcready.tracing._server import ServerTrace, ServerTracer

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}"
ROOT = "1-5759e988-bd862e3fe1be46a994272793"
ROOT_HEX = "5759e988bd862e3fe1be46a994272793"


@pytest.fixture
def quiet() -> Iterator[TracePillar]:
    """Give a started pillar whose own rule samples nothing."""
    made = make_pillar(TracingSettings(sampling=NONE, view_spans=100))
    made.start()
    yield made
    made.close(1.0)


def begin(
    server: ServerTracer,
    method: str = "GET",
    *,
    traceparent: str | None = None,
    tracestate: str | None = None,
    xray: str | None = None,
    bag: str | None = None,
) -> ServerTrace:
    """Begin a request's trace."""
    return server.begin(
        method,
        "/orders/7",
        traceparent,
        tracestate,
        xray,
        bag,
        lambda: {"url.scheme": "http", "url.query": "password=hunter2"},
    )


def test_a_sampled_request_is_one_server_span(pillar: TracePillar) -> None:
    """Name, kind, parent and attributes are those of the stable conventions."""
    request = begin(pillar.server, traceparent=f"{PARENT}-03", tracestate="k=v")
    request.activate()
    inside = span_ids()
    request.end("/orders/{id}", 200, None)
    request.deactivate()

    (record,) = pillar.recent()
    assert inside == (request.trace_id, request.span_id) == (TRACE, record.span_id)
    assert request.sampled
    assert (record.name, record.kind, record.scope) == (
        "GET /orders/{id}",
        "server",
        "svcready",
    )
    assert (record.trace_id, record.parent_id, record.remote_parent) == (
        TRACE,
        SPAN,
        True,
    )
    assert record.status == "unset"
    assert record.attributes == {
        "http.request.method": "GET",
        "url.path": "/orders/7",
        "url.scheme": "http",
        "url.query": "password=***",
        "http.route": "/orders/{id}",
        "http.response.status_code": 200,
    }
    name, value = request.response_header
    assert (name, value) == ("traceresponse", f"00-{TRACE}-{request.span_id}-03")
    assert request.xray_response_header is None


@pytest.mark.parametrize(
    ("status", "error", "state", "kind"),
    [
        (404, None, "unset", None),
        (503, None, "error", "503"),
        (500, KeyError("x"), "error", "KeyError"),
        (None, TimeoutError(), "error", "TimeoutError"),
        (None, KeyboardInterrupt(), "unset", "KeyboardInterrupt"),
        (None, None, "unset", None),
    ],
)
def test_what_fails_a_server_span(
    pillar: TracePillar,
    status: int | None,
    error: BaseException | None,
    state: str,
    kind: str | None,
) -> None:
    """5xx and exceptions do; 4xx and a client that left do not."""
    request = begin(pillar.server)
    request.end(None, status, error)

    (record,) = pillar.recent()
    assert (record.name, record.status) == ("GET", state)
    assert record.attributes.get("error.type") == kind
    assert record.attributes.get("http.response.status_code") == status
    assert len(record.events) == isinstance(error, Exception)


def test_an_unknown_method_is_not_a_name(pillar: TracePillar) -> None:
    """A made-up method cannot make a series or a span name."""
    begin(pillar.server, "BREW").end("/pot", 418, None)

    (record,) = pillar.recent()
    assert record.name == "HTTP /pot"
    assert record.attributes["http.request.method"] == "_OTHER"
    assert record.attributes["http.request.method_original"] == "BREW"


def test_an_unsampled_request_has_ids_and_nothing_else(quiet: TracePillar) -> None:
    """Ids for log lines and callees, no description, no span, no children."""

    def never() -> dict[str, object]:
        raise AssertionError

    state = "a=1,2fa@x=2"
    request = quiet.server.begin(
        "GET", "/x", f"{PARENT}-00", state, None, "user=7", never
    )
    assert span_ids() is None
    request.activate()
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    with span("inner"):
        inner = span_ids()

    with trace.get_tracer("lib").start_as_current_span("client") as client:
        assert not client.is_recording()
        assert client.get_span_context().is_valid

    context = trace.get_current_span().get_span_context()
    request.end("/x", 200, None)
    request.deactivate()

    assert not request.sampled
    assert inner == (request.trace_id, request.span_id)
    assert request.trace_id == TRACE
    assert request.span_id != SPAN
    assert context.trace_id == int(TRACE, 16)
    assert not context.trace_flags.sampled
    assert not context.is_remote
    assert carrier["traceparent"] == f"00-{TRACE}-{request.span_id}-00"
    assert carrier["tracestate"] == state
    assert carrier["baggage"] == "user=7"
    assert carrier["X-Amzn-Trace-Id"].endswith(f"Parent={request.span_id};Sampled=0")
    assert quiet.recent() == []
    assert not current()


def test_a_request_without_headers_gets_new_ids(quiet: TracePillar) -> None:
    """New traces have random ids and say so."""
    one, two = begin(quiet.server), begin(quiet.server)

    assert one.trace_id != two.trace_id
    assert len(one.trace_id) == 32
    assert len(one.span_id) == 16
    assert one.response_header[1] == f"00-{one.trace_id}-{one.span_id}-02"


def test_the_caller_decides(quiet: TracePillar) -> None:
    """A sampled flag is honoured although our own rule samples nothing."""
    begin(quiet.server, traceparent=f"{PARENT}-01").end("/x", 200, None)

    (record,) = quiet.recent()
    assert (record.trace_id, record.parent_id) == (TRACE, SPAN)


def test_a_distrusted_caller_is_linked(quiet: TracePillar) -> None:
    """With `never` a new trace begins, and its span links to the caller's."""
    made = make_pillar(
        TracingSettings(
            sampling=TracingSettings().sampling._replace(ratio=1.0),
            trust_inbound="never",
            view_spans=10,
        )
    )
    made.start()
    request = begin(
        made.server,
        traceparent=f"{PARENT}-01",
        tracestate="k=v",
        bag="user=7",
        xray=f"Root={ROOT};Lineage=a:1",
    )
    request.activate()
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    request.end("/x", 200, None)
    request.deactivate()

    (record,) = made.recent()
    assert record.trace_id == request.trace_id != TRACE
    assert record.parent_id is None
    assert record.links == ((TRACE, SPAN),)
    assert "baggage" not in carrier
    assert "tracestate" not in carrier
    assert "Lineage" not in carrier["X-Amzn-Trace-Id"]
    made.close(1.0)


def test_xray_headers_continue_a_trace(pillar: TracePillar) -> None:
    """A load balancer's header without parent is continued, and answered."""
    request = begin(pillar.server, xray=f"Self=1-1-2;Root={ROOT};Sampled=?;Lineage=a:1")
    request.activate()
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    request.end("/x", 200, None)
    request.deactivate()

    (record,) = pillar.recent()
    assert (record.trace_id, record.parent_id) == (ROOT_HEX, None)
    assert request.xray_response_header == (
        "x-amzn-trace-id",
        f"Root={ROOT};Sampled=1",
    )
    assert carrier["X-Amzn-Trace-Id"] == (
        f"Root={ROOT};Parent={request.span_id};Sampled=1;Lineage=a:1"
    )


def test_the_last_named_format_wins() -> None:
    """With both headers there, the order of the propagators decides."""
    trace_ids = []
    for names in (("xray", "tracecontext"), ("tracecontext", "xray")):
        made = make_pillar(TracingSettings(sampling=NONE, propagators=names))
        made.start()
        request = begin(
            made.server, traceparent=f"{PARENT}-00", xray=f"Root={ROOT};Sampled=0"
        )
        trace_ids.append(request.trace_id)
        made.close(1.0)

    assert trace_ids == [TRACE, ROOT_HEX]


def test_formats_that_are_off_are_not_read() -> None:
    """With no propagator every request begins a trace and no header is written."""
    made = make_pillar(TracingSettings(sampling=NONE, propagators=()))
    made.start()
    request = begin(
        made.server, traceparent=f"{PARENT}-01", xray=f"Root={ROOT}", bag="a=1"
    )
    request.activate()
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    request.deactivate()

    assert request.trace_id not in {TRACE, ROOT_HEX}
    assert carrier == {}
    made.close(1.0)


def test_switched_off_a_trace_passes_through() -> None:
    """Without tracing, callees still hang under the caller, sampled as it said."""
    made = make_pillar(TracingSettings(enabled=False))
    made.start()
    request = begin(made.server, traceparent=f"{PARENT}-01", bag="a=1")
    request.activate()
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    with trace.get_tracer("lib").start_as_current_span("client"):
        inner = span_ids()

    request.end("/x", 200, None)
    request.deactivate()
    alone = begin(made.server)

    assert not request.sampled
    assert carrier["traceparent"] == f"{PARENT}-01"
    assert carrier["baggage"] == "a=1"
    assert inner == (TRACE, SPAN)
    assert len(alone.trace_id) == 32
    assert made.recent() == []
    made.close(1.0)


def test_baggage_reaches_the_application(pillar: TracePillar) -> None:
    """It is read through OpenTelemetry's own function, and gone after the request."""
    request = begin(pillar.server, bag="user=J%C3%BCrgen;ttl=5")
    request.activate()
    inside = baggage.get_baggage("user")
    request.deactivate()

    assert inside == "Jürgen"
    assert baggage.get_baggage("user") is None


def test_one_request_leaves_nothing_for_the_next(quiet: TracePillar) -> None:
    """A request that was never put back does not colour the next on its thread."""

    def work() -> None:
        begin(quiet.server, bag="user=7").activate()
        second = begin(quiet.server)
        second.activate()
        seen.extend([baggage.get_baggage("user"), span_ids()])
        expected.append((second.trace_id, second.span_id))

    seen: list[object] = []
    expected: list[object] = []
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

    assert seen == [None, expected[0]]


def test_ending_elsewhere_is_not_logged(
    pillar: TracePillar, caplog: pytest.LogCaptureFixture
) -> None:
    """A body that is closed by another thread ends the span and says nothing."""
    request = begin(pillar.server)
    thread = threading.Thread(target=request.activate)
    thread.start()
    thread.join()

    request.end("/x", 200, None)
    request.end("/x", 200, None)
    request.deactivate()
    request.deactivate()

    assert len(pillar.recent()) == 1
    assert caplog.records == []


def test_a_bad_description_costs_only_itself(
    pillar: TracePillar, faults: object
) -> None:
    """When the adapter's own attributes fail, the span is there without them."""

    def describe() -> dict[str, object]:
        raise KeyError("x")

    request = pillar.server.begin("GET", "/x", None, None, None, None, describe)
    request.end("/x", 200, None)

    assert len(pillar.recent()) == 1
    assert isinstance(faults.claim("tracing.server"), KeyError)  # type: ignore[attr-defined]


def test_requests_before_the_start_are_a_fault_of_the_runtime() -> None:
    """There is no server side before `start`."""
    with pytest.raises(RuntimeError, match="not started"):
        _ = make_pillar().server


anything = (
    st.none()
    | st.text()
    | st.sampled_from(
        [
            f"{PARENT}-01",
            f"Root={ROOT};Sampled=?",
            "a=1;b",
            "k=v",
            "\0",
            "é=ü",
            "=" * 9000,
        ]
    )
)


@settings(max_examples=200)
@given(anything, anything, anything, anything, st.text(max_size=5))
def test_no_header_makes_a_request_fail(
    traceparent: str | None,
    tracestate: str | None,
    xray: str | None,
    bag: str | None,
    method: str,
) -> None:
    """Whatever comes in, there are ids, and headers that can be sent."""
    made = make_pillar(TracingSettings(sampling=NONE, view_spans=10))
    made.start()
    request = begin(
        made.server,
        method,
        traceparent=traceparent,
        tracestate=tracestate,
        xray=xray,
        bag=bag,
    )
    request.activate()
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    request.end(None, 200, None)
    request.deactivate()
    made.close(0.1)

    assert int(request.trace_id, 16)
    sent = [*carrier.values(), request.response_header[1]]
    assert all(value.isascii() and value.isprintable() for value in sent)
