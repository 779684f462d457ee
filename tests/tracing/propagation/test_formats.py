"""Each format through OpenTelemetry's API: what is read, what goes on, what is sent."""

from __future__ import annotations

import json

import pytest
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import TraceState

from svcready._core.context import ContextRecord, activate, deactivate
from svcready.config._sections.tracing import TracingSettings
from svcready.tracing._otel import SPAN_KEY, UnsampledSpan
from svcready.tracing.propagation._propagator import Propagator
from tests.architecture.house import run_clean
from tests.tracing.support import ALL, NONE, make_pillar

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}"
ROOT = f"1-{TRACE[:8]}-{TRACE[8:]}"
OTHER = "80f198ee56343ba864fe8b2a57d3eff7"

B3 = ("b3", "b3multi")


def through(headers: dict[str, str], names: tuple[str, ...] = B3) -> dict[str, str]:
    """Read *headers* and write again what was read."""
    propagator = Propagator(names)
    sent: dict[str, str] = {}
    propagator.inject(sent, propagator.extract(headers))
    assert set(sent) <= propagator.fields
    return sent


def multi(**values: str) -> dict[str, str]:
    """Return B3's several headers."""
    return {f"X-B3-{name}": value for name, value in values.items()}


@pytest.mark.parametrize(
    ("headers", "single", "several"),
    [
        (
            {"b3": f"{TRACE}-{SPAN}-1-05e3ac9a4f6e3b90"},
            f"{TRACE}-{SPAN}-1",
            multi(TraceId=TRACE, SpanId=SPAN, Sampled="1"),
        ),
        (
            {"b3": f"{TRACE[16:]}-{SPAN}-0"},
            f"{'0' * 16}{TRACE[16:]}-{SPAN}-0",
            multi(TraceId="0" * 16 + TRACE[16:], SpanId=SPAN, Sampled="0"),
        ),
        (
            {"b3": f"{TRACE}-{SPAN}-d"},
            f"{TRACE}-{SPAN}-d",
            multi(TraceId=TRACE, SpanId=SPAN, Flags="1"),
        ),
        (
            {"b3": f"{TRACE}-{SPAN}"},
            f"{TRACE}-{SPAN}",
            multi(TraceId=TRACE, SpanId=SPAN),
        ),
        (
            multi(TraceId=TRACE, SpanId=SPAN, Sampled="true"),
            f"{TRACE}-{SPAN}-1",
            multi(TraceId=TRACE, SpanId=SPAN, Sampled="1"),
        ),
        (
            {"b3": f"{TRACE}-{SPAN}-1"} | multi(TraceId=OTHER, SpanId=SPAN),
            f"{TRACE}-{SPAN}-1",
            multi(TraceId=TRACE, SpanId=SPAN, Sampled="1"),
        ),
    ],
)
def test_b3_goes_on_in_both_forms(
    headers: dict[str, str], single: str, several: dict[str, str]
) -> None:
    """States, debug, short ids, an open decision; one header wins over several."""
    assert through(headers) == {"b3": single, **several}


@pytest.mark.parametrize(
    ("headers", "state"),
    [
        ({"b3": "0"}, "0"),
        ({"b3": "1"}, "1"),
        ({"b3": "d"}, "d"),
        (multi(Sampled="0"), "0"),
        (multi(Flags="1"), "d"),
    ],
)
def test_a_decision_alone_is_kept(headers: dict[str, str], state: str) -> None:
    """It goes on with ids that begin here."""
    trace_id, span_id, sent = through(headers, ("b3",))["b3"].split("-")

    assert sent == state
    assert (len(trace_id), len(span_id)) == (32, 16)


def test_a_trace_wins_over_a_decision_alone() -> None:
    """Whatever the order: ids that came are not given up for a flag."""
    for names in (("tracecontext", "b3"), ("b3", "tracecontext")):
        sent = through({"b3": "0", "traceparent": f"{PARENT}-01"}, names)
        assert sent["traceparent"] == f"{PARENT}-01"


@pytest.mark.parametrize(
    ("header", "sampled"), [("0", False), ("1", True), ("d", True), (SPAN, False)]
)
def test_a_decision_alone_decides_spans(header: str, sampled: bool) -> None:
    """A consumer's span follows it; nonsense is no decision, and the rule decides."""
    made = make_pillar(TracingSettings(sampling=NONE, propagators=("b3",)))
    made.start()
    context = Propagator(("b3",)).extract({"b3": header})
    with trace.get_tracer("consumer").start_as_current_span("work", context) as span:
        assert span.is_recording() is sampled

    made.close(1.0)


@pytest.mark.parametrize(
    "names",
    [("b3", "xray", "tracecontext"), ("tracecontext", "b3", "xray"), ("xray", "b3")],
)
def test_the_format_named_last_wins(names: tuple[str, ...]) -> None:
    """Of those that say something valid."""
    headers = {
        "traceparent": f"00-{'1' * 32}-{SPAN}-01",
        "x-amzn-trace-id": f"Root=1-{'2' * 8}-{'2' * 24};Parent={SPAN};Sampled=1",
        "b3": f"{'3' * 32}-{SPAN}-1",
    }
    of = {"tracecontext": "1", "xray": "2", "b3": "3"}
    context = Propagator(names).extract(headers)
    made = trace.get_current_span(context).get_span_context()

    assert f"{made.trace_id:032x}" == of[names[-1]] * 32
    assert through({"b3": headers["b3"]}, names)["b3"] == headers["b3"]


@pytest.mark.parametrize("name", ["Traceparent", "TRACEPARENT"])
def test_a_plain_dict_may_spell_names_as_it_likes(name: str) -> None:
    """An event's headers keep the case in which a client sent them."""
    sent = through({name: f"{PARENT}-03", "Tracestate": "k=v"}, ("tracecontext",))

    assert sent == {"traceparent": f"{PARENT}-03", "tracestate": "k=v"}


def test_the_random_flag_stays_as_it_came() -> None:
    """Set or not, in spans that are recorded and in those that are not."""
    made = make_pillar(TracingSettings(sampling=ALL))
    made.start()
    propagator = Propagator(("tracecontext",))
    for flags, expected in (("00", "00"), ("02", "02"), ("01", "01"), ("ff", "03")):
        context = propagator.extract({"traceparent": f"{PARENT}-{flags}"})
        sent: dict[str, str] = {}
        with trace.get_tracer("lib").start_as_current_span("work", context):
            propagator.inject(sent)

        assert sent["traceparent"][:36] == f"00-{TRACE}-"
        assert sent["traceparent"][-2:] == expected

    made.close(1.0)


def test_a_state_that_grew_is_cut_when_it_is_sent() -> None:
    """What an application adds must not make the header one that others drop."""
    state = TraceState([(f"k{number}", "v" * 60) for number in range(10)])
    span = trace.NonRecordingSpan(
        trace.SpanContext(
            int(TRACE, 16), int(SPAN, 16), False, trace.TraceFlags(1), state
        )
    )
    sent: dict[str, str] = {}
    Propagator(("tracecontext",)).inject(sent, trace.set_span_in_context(span))

    assert len(sent["tracestate"]) <= 512
    assert sent["tracestate"].split(",") == [
        f"k{number}={'v' * 60}" for number in range(8)
    ]


def test_an_open_decision_of_xray_goes_on_open() -> None:
    """Who only passes a trace through decides nothing."""
    header = f"Root={ROOT};Parent={SPAN};Lineage=a:1"

    assert through({"X-Amzn-Trace-Id": f"{header};Sampled=?"}, ("xray",)) == {
        "X-Amzn-Trace-Id": header
    }


def test_sqs_messages_carry_the_header_of_xray() -> None:
    """In a system attribute, which beats the header."""
    attributes = {
        "ApproximateReceiveCount": "1",
        "AWSTraceHeader": f"Root={ROOT};Parent={SPAN};Sampled=1",
        "X-Amzn-Trace-Id": f"Root=1-{'2' * 8}-{'2' * 24};Parent={SPAN};Sampled=0",
    }

    sent = through(attributes, ("xray", "tracecontext"))
    assert sent["traceparent"] == f"{PARENT}-03"


def test_lambda_is_asked_where_no_header_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only if it is named, and anew each time."""
    event: dict[str, str] = {}
    for digit in "34":
        header = f"Root=1-{digit * 8}-{digit * 24};Parent={SPAN};Sampled=1"
        monkeypatch.setenv("_X_AMZN_TRACE_ID", header)
        assert through(event, ("xray-lambda",)) == {"X-Amzn-Trace-Id": header}
        assert through(event, ("xray",)) == {}

    given = f"Root={ROOT};Parent={SPAN};Sampled=0"
    assert through({"x-amzn-trace-id": given}, ("xray-lambda",)) == {
        "X-Amzn-Trace-Id": given
    }


IDS = ("X-Request-ID", "X-Chain")


def sent_ids(record: ContextRecord | None, there: dict[str, str]) -> dict[str, str]:
    """Return what is sent in the context of *record*, beside what is *there*."""
    token = activate(record)
    Propagator((), IDS).inject(there, Context({SPAN_KEY: UnsampledSpan((TRACE, SPAN))}))
    deactivate(token)
    return there


def test_our_ids_are_sent_by_the_names_that_are_set() -> None:
    """Only inside a request, only ids that are well formed, never over another's."""
    record = ContextRecord("req-1", "chain-1")

    assert sent_ids(record, {}) == {"X-Request-ID": "req-1", "X-Chain": "chain-1"}
    assert sent_ids(None, {}) == {}
    assert sent_ids(ContextRecord("a\r\nb", ""), {}) == {}
    assert sent_ids(record, {"X-Request-ID": "mine"})["X-Request-ID"] == "mine"
    assert Propagator((), IDS).fields == set(IDS)


NAMED = """
import json
from opentelemetry import propagate  # as FastAPI does, before anybody's init()
import svcready
runtime = svcready.init(service="orders")
sent = {}
propagate.inject(sent, propagate.extract({"b3": "SINGLE"}))
print(json.dumps([runtime.tracing.describe()["propagators"], sorted(sent)]))
svcready.shutdown()
"""


def test_b3_needs_no_package_of_its_own() -> None:
    """OpenTelemetry's import finds the names that it does not know itself with us."""
    source = NAMED.replace("SINGLE", f"{TRACE}-{SPAN}-1")
    output = run_clean(source, env={"OTEL_PROPAGATORS": "xray-lambda,b3,b3multi"})

    assert json.loads(output.splitlines()[-1]) == [
        "xray-lambda,b3,b3multi",
        [
            "X-Amzn-Trace-Id",
            "X-B3-Sampled",
            "X-B3-SpanId",
            "X-B3-TraceId",
            "b3",
        ],
    ]
