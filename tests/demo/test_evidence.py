"""How the demo reads what its services said, and how it judges."""

from __future__ import annotations

import json

import pytest

from svcready.demo._scrape import Scrape
from svcready.demo._story import follow
from svcready.demo._verdict import Evidence, judge
from svcready.demo._witness import Witness
from svcready.tracing.view._records import SpanRecord

SCRAPE = """\
# TYPE http_server_request_duration_seconds histogram
http_server_request_duration_seconds_bucket{LABELS,le="0.01"} 50
http_server_request_duration_seconds_bucket{LABELS,le="0.02"} 90
http_server_request_duration_seconds_bucket{LABELS,le="+Inf"} 100
http_server_request_duration_seconds_count{LABELS} 100
http_server_request_duration_seconds_sum{LABELS} 1.5
""".replace(
    "LABELS",
    'http_request_method="GET",http_route="/a",http_response_status_code="200"',
)


def line(**fields: object) -> bytes:
    """Write a log line as a service does."""
    known = {"timestamp": "2026-01-01T00:00:00.000Z", "service": "orders"}
    return json.dumps(known | fields).encode()


def access(trace_id: str, service: str = "orders", status: int = 201) -> bytes:
    """Write an access line."""
    http = {"method": "POST", "route": "/orders", "status": status}
    return line(
        service=service, trace_id=trace_id, request_id=f"r-{trace_id}", http=http
    )


def span(
    trace_id: str,
    span_id: str,
    parent_id: str = "",
    *,
    service: str = "orders",
    start_ms: int = 0,
    failed: bool = False,
) -> SpanRecord:
    """Make a span of 10 ms."""
    start_ns = 1_767_225_600_000_000_000 + start_ms * 1_000_000
    return SpanRecord(
        trace_id,
        span_id,
        parent_id or None,
        False,
        f"span {span_id}",
        "internal",
        "svcready",
        start_ns,
        start_ns + 10_000_000,
        "error" if failed else "unset",
        "",
        {},
        (),
        (),
        service,
    )


def test_quantiles_are_interpolated_as_prometheus_does() -> None:
    """As histogram_quantile: linear in a bucket, and +Inf gives its lower bound."""
    [route] = Scrape(SCRAPE).routes(10.0)

    # The median is the 50th of the first 50 values: its bucket's upper bound.
    assert route["p50_ms"] == 10.0
    # The 95th lies beyond every finite bound, so it is at least the last one.
    assert route["p95_ms"] == 20.0
    assert route["per_s"] == 10.0
    assert route["statuses"] == {"200": 100}


def test_what_is_no_prometheus_text_is_refused() -> None:
    """A page that is no exposition is no scrape."""
    with pytest.raises(ValueError, match=r"could not|invalid"):
        Scrape("<html>{}</html>")


def test_a_line_that_is_no_json_is_kept_as_garbled() -> None:
    """What a service prints past its log is seen."""
    witness = Witness()
    witness.on_line(b"Traceback (most recent call last):\n")
    witness.on_line(line(message="well"))
    witness.on_line(b'{"no": "timestamp"}')

    assert witness.garbled() == [
        "Traceback (most recent call last):",
        '{"no": "timestamp"}',
    ]
    assert [said.text("message") for said in witness.lines()] == ["well"]


def test_nothing_is_kept_after_the_run() -> None:
    """A demo that is left running does not grow."""
    witness = Witness()
    witness.close()
    witness.on_line(line(message="later"))
    witness.on_spans([span("t", "1")])

    assert witness.lines() == []
    assert witness.spans() == []


def test_the_breaker_is_followed_live() -> None:
    """The state shown during the run is what the service told last."""
    witness = Witness()
    witness.on_line(line(event="circuit_breaker.moved", context={"after": "open"}))

    assert witness.breaker == "open"


def test_a_mended_request_is_the_one_to_follow() -> None:
    """Of two paid orders the one with a failed attempt is told, as a tree."""
    witness = Witness()
    for trace_id in ("plain", "mended"):
        witness.on_line(access(trace_id))

    witness.on_spans(
        [
            span("plain", "1"),
            span("mended", "c", "a", start_ms=20),
            span("mended", "d", "c", service="payments", start_ms=22),
            span("mended", "b", "a", start_ms=5, failed=True),
            span("mended", "a"),
        ]
    )
    followed = follow(witness.lines(), witness.spans())

    assert followed is not None
    assert followed["trace_id"] == "mended"
    assert followed["request_id"] == "r-mended"
    tree = [(s["depth"], s["name"], s["start_ms"]) for s in followed["spans"]]
    assert tree == [
        (0, "span a", 0.0),
        (1, "span b", 5.0),
        (1, "span c", 20.0),
        (2, "span d", 22.0),
    ]


def test_without_spans_nothing_is_followed() -> None:
    """Log lines alone are not a request to follow."""
    witness = Witness()
    witness.on_line(access("t"))

    assert follow(witness.lines(), witness.spans()) is None


def evidence(witness: Witness, *request_ids: str) -> Evidence:
    """Return what was seen where nothing but *witness* saw anything."""
    return Evidence(
        request_ids=request_ids,
        lines=witness.lines(),
        garbled=witness.garbled(),
        spans=witness.spans(),
        scrape=None,
        followed=None,
        breaker=[],
        readiness=[],
        phases=[],
        cost=[],
    )


def test_nothing_seen_is_nothing_shown() -> None:
    """Each part needs evidence: where there is none, none is shown."""
    parts = judge(evidence(Witness()))

    assert len(parts) == 7
    assert not [part["name"] for part in parts if part["shown"]]


@pytest.mark.parametrize(("copies", "shown"), [(0, False), (1, True), (2, False)])
def test_logs_need_exactly_one_access_line(copies: int, shown: bool) -> None:
    """A request that was logged twice, or not at all, is a fault of the logs."""
    witness = Witness()
    witness.on_line(line(error={"stack": "Traceback"}))
    witness.on_line(line(service="payments"))
    for _ in range(copies):
        witness.on_line(access("t"))

    logs = judge(evidence(witness, "r-t"))[0]

    assert (logs["name"], logs["shown"]) == ("logs", shown), logs


def test_metrics_need_every_request() -> None:
    """A count that differs from the requests that were answered is a fault."""
    scrape = Scrape(SCRAPE)
    parts = judge(evidence(Witness(), *("r",) * 99)._replace(scrape=scrape))

    assert not parts[1]["shown"]
    assert parts[1]["what"] == "100 requests counted, 99 answered"


@pytest.mark.parametrize(
    ("moves", "missing"),
    [
        ([], "never opened"),
        ([("closed", "open")], "never probed"),
        ([("closed", "open"), ("open", "half_open")], "never closed again"),
    ],
)
def test_the_breaker_needs_its_whole_way(
    moves: list[tuple[str, str]], missing: str
) -> None:
    """Opening, probing and closing are each asked for."""
    seen = evidence(Witness())._replace(
        breaker=[
            {"at_s": 0.0, "before": b, "after": a, "reason": "", "open_s": 0.0}
            for b, a in moves
        ]
    )

    assert judge(seen)[4]["what"].endswith(missing)


@pytest.mark.parametrize(
    ("verdicts", "shown"),
    [
        ([(0.0, 200), (3.0, 503), (4.0, 200)], True),
        ([(0.0, 200), (3.0, 503)], False),
        ([(0.0, 200)], False),
        # Not ready while only payments was down: that dependency is not critical.
        ([(0.0, 200), (1.5, 503), (1.8, 200), (3.0, 503), (4.0, 200)], False),
    ],
)
def test_readiness_follows_the_critical_dependency_only(
    verdicts: list[tuple[float, int]], shown: bool
) -> None:
    """The service has to leave the rotation for its database, and come back."""
    states = [(0.0, "ok", "ok"), (1.0, "slow", "ok"), (2.0, "ok", "ok")]
    seen = evidence(Witness())._replace(
        readiness=[{"at_s": t, "status": s, "checks": {}} for t, s in verdicts],
        phases=[
            {"at_s": at_s, "what": "", "payments": payments, "database": database}
            for at_s, payments, database in states
        ],
    )

    assert judge(seen)[5]["shown"] is shown
