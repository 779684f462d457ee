"""Whom a request's trace is taken from: every format, every degree of trust."""

from __future__ import annotations

import pytest
from opentelemetry import propagate

from svcready.config._sections.tracing import SamplingRate, TracingSettings
from svcready.tracing._pillar import TracePillar
from svcready.tracing._server import ServerTrace
from tests.tracing.support import ALL, NONE, make_pillar

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
FORMATS = ("xray", "b3", "tracecontext")
ROOT = f"1-{TRACE[:8]}-{TRACE[8:]}"
CALLERS = {
    "w3c": ({"traceparent": f"00-{TRACE}-{SPAN}-01"}, True),
    "w3c-unsampled": ({"traceparent": f"00-{TRACE}-{SPAN}-02"}, False),
    "xray": ({"xray": f"Root={ROOT};Parent={SPAN};Sampled=1"}, True),
    "xray-unsampled": ({"xray": f"Root={ROOT};Parent={SPAN};Sampled=0"}, False),
    "xray-asks": ({"xray": f"Root={ROOT};Parent={SPAN};Sampled=?"}, None),
    "b3": ({"b3": f"{TRACE}-{SPAN}-1"}, True),
    "b3-unsampled": ({"b3": f"{TRACE}-{SPAN}-0"}, False),
    "b3-debug": ({"b3": f"{TRACE}-{SPAN}-d"}, True),
    "b3-defers": ({"b3": f"{TRACE}-{SPAN}"}, None),
}
every_caller = pytest.mark.parametrize(
    ("headers", "flag"), CALLERS.values(), ids=CALLERS.keys()
)
every_rule = pytest.mark.parametrize("rule", [ALL, NONE], ids=["all", "none"])


def start(
    rule: SamplingRate, trust: str = "always", limit: float = 100.0
) -> TracePillar:
    """Return a started pillar."""
    made = make_pillar(
        TracingSettings(
            sampling=rule,
            trust_inbound=trust,
            propagators=(*FORMATS, "baggage"),
            inbound_max_per_s=limit,
            view_spans=10,
        )
    )
    made.start()
    return made


def serve(pillar: TracePillar, headers: dict[str, str]) -> tuple[ServerTrace, str]:
    """Serve one request, and return it and the B3 header that it would send on."""
    b3 = headers.get("b3")
    request = pillar.server.begin(
        "GET",
        "/x",
        headers.get("traceparent"),
        headers.get("tracestate"),
        headers.get("xray"),
        headers.get("baggage"),
        dict,
        None if b3 is None else (b3, None, None, None, None),
    )
    request.activate()
    sent: dict[str, str] = {}
    propagate.inject(sent)
    request.end("/x", 200, None)
    request.deactivate()
    pillar.close(1.0)
    return request, sent["b3"]


@every_rule
@every_caller
def test_always_continues_and_heeds(
    headers: dict[str, str], flag: bool | None, rule: SamplingRate
) -> None:
    """The caller's trace and decision; without one our own rule's."""
    made = start(rule)
    request, sent = serve(made, headers)

    sampled = (rule is ALL) if flag is None else flag
    assert (request.trace_id, request.sampled) == (TRACE, sampled)
    assert [it.parent_id for it in made.recent()] == [SPAN] * sampled
    state = "d" if headers.get("b3", "").endswith("d") else str(int(sampled))
    assert sent == f"{TRACE}-{request.span_id}-{state}"


@every_rule
@every_caller
def test_an_ignored_flag_leaves_the_trace(
    headers: dict[str, str], flag: bool | None, rule: SamplingRate
) -> None:
    """The trace goes on, our rule decides, and nobody behind us is made to debug."""
    made = start(rule, "sampled-flag-ignored")
    request, sent = serve(made, headers)

    sampled = rule is ALL
    assert (request.trace_id, request.sampled) == (TRACE, sampled)
    assert [it.parent_id for it in made.recent()] == [SPAN] * sampled
    assert sent == f"{TRACE}-{request.span_id}-{int(sampled)}"


@every_rule
@every_caller
def test_never_begins_anew_and_links(
    headers: dict[str, str], flag: bool | None, rule: SamplingRate
) -> None:
    """A new trace by our rule, linked to the caller's; its baggage stays outside."""
    made = start(rule, "never")
    request, sent = serve(made, {**headers, "baggage": "user=7"})

    assert request.trace_id != TRACE
    assert request.sampled is (rule is ALL)
    assert sent == f"{request.trace_id}-{request.span_id}-{int(request.sampled)}"
    for record in made.recent():
        assert record.parent_id is None
        assert [*record.links] == [(TRACE, SPAN)]


@pytest.mark.parametrize(
    ("header", "trust", "sampled"),
    [
        ("0", "always", False),
        ("1", "always", True),
        ("d", "always", True),
        ("1", "never", False),
        ("1", "sampled-flag-ignored", False),
    ],
)
def test_a_decision_alone_is_heeded_like_a_flag(
    header: str, trust: str, sampled: bool
) -> None:
    """B3 can decide about a trace that begins here, as far as it is trusted."""
    made = start(ALL if header == "0" else NONE, trust)
    request, sent = serve(made, {"b3": header})

    assert request.sampled is sampled
    assert [it.parent_id for it in made.recent()] == [None] * sampled
    assert sent.endswith("-d" if header == "d" else f"-{int(sampled)}")


def test_a_decision_alone_gives_way_to_a_trace() -> None:
    """Of another format that is named before B3."""
    made = start(ALL)
    xray = f"Root={ROOT};Parent={SPAN};Sampled=1"
    request, _ = serve(made, {"xray": xray, "b3": "0"})
    assert (request.trace_id, request.sampled) == (TRACE, True)


def test_decisions_alone_are_limited_like_flags() -> None:
    """A caller cannot have more sampled than the limit by leaving the ids out."""
    made = start(NONE, limit=0.0)

    assert not serve(made, {"b3": "d"})[0].sampled


@pytest.mark.parametrize("flag", ["0", "1"])
def test_switched_off_every_format_passes_through(flag: str) -> None:
    """Parent, decision and debug reach callees as they came."""
    for header, expected in (
        (f"{TRACE}-{SPAN}-{flag}", f"{TRACE}-{SPAN}-{flag}"),
        (f"{TRACE}-{SPAN}-d", f"{TRACE}-{SPAN}-d"),
        (f"{TRACE}-{SPAN}", f"{TRACE}-{SPAN}"),
    ):
        made = make_pillar(TracingSettings(enabled=False, propagators=FORMATS))
        made.start()
        assert serve(made, {"b3": header})[1] == expected

    made = make_pillar(TracingSettings(enabled=False, propagators=FORMATS))
    made.start()
    assert serve(made, {"b3": flag})[1].endswith(f"-{flag}")


@pytest.mark.parametrize(
    ("asked", "rule", "answer"),
    [
        ("Sampled=?", ALL, ";Sampled=1"),
        ("Sampled=?", NONE, ";Sampled=0"),
        ("Sampled=1", ALL, ""),
        ("Self=1-00000001-000000000000000000000001", ALL, ""),
    ],
)
def test_who_asks_for_the_decision_is_told(
    asked: str, rule: SamplingRate, answer: str
) -> None:
    """In the response's X-Amzn-Trace-Id, and only then."""
    request, _ = serve(start(rule), {"xray": f"Root={ROOT};{asked};"})

    assert request.xray_response_header == ("x-amzn-trace-id", f"Root={ROOT}{answer}")
