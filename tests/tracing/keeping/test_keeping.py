"""Requests that nobody sampled are kept when they fail or take long."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from opentelemetry import propagate, trace

import svcready
from svcready.config._sections.tracing import TracingSettings
from svcready.config._slowness import SLOWNESS, Slowness
from svcready.testing import FakeClock
from svcready.tracing._otel import current, span_ids
from svcready.tracing.keeping._keeper import Keeper
from tests.tracing.support import ALL, NONE, make_pillar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from svcready.tracing._pillar import TracePillar
    from svcready.tracing._server import ServerTrace
    from svcready.tracing.view._records import SpanRecord

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"
SLOW = SLOWNESS.parse("2s; POST /checkout 500ms; * /reports/* 60s")

Start = "Callable[..., TracePillar]"


@pytest.fixture
def clock() -> FakeClock:
    """Give a clock that stands still."""
    return FakeClock()


@pytest.fixture
def start(clock: FakeClock) -> Iterator[Callable[..., TracePillar]]:
    """Give what starts a pillar that samples nothing and keeps what it is told to."""
    made: list[TracePillar] = []

    def begin(**settings: object) -> TracePillar:
        told = {"sampling": NONE, "view_spans": 1000, **settings}
        made.append(make_pillar(TracingSettings(**told), clock=clock))  # type: ignore[arg-type]
        made[-1].start()
        return made[-1]

    yield begin
    for each in made:
        each.close(1.0)


def request(pillar: TracePillar, method: str = "GET", **headers: str) -> ServerTrace:
    """Begin a request and make it current."""
    begun = pillar.server.begin(
        method,
        "/orders/7",
        headers.get("traceparent"),
        headers.get("tracestate"),
        headers.get("xray"),
        None,
        lambda: {"url.scheme": "http", "url.query": "password=hunter2"},
    )
    begun.activate()
    return begun


def finish(
    begun: ServerTrace,
    route: str | None = "/orders/{id}",
    status: int | None = 200,
    error: BaseException | None = None,
) -> None:
    """End a request."""
    begun.end(route, status, error)
    begun.deactivate()


def only(records: list[SpanRecord]) -> SpanRecord:
    """Return the one span there is."""
    assert len(records) == 1
    return records[0]


@pytest.mark.parametrize(
    ("status", "error", "kept"),
    [
        (200, None, False),
        (404, None, False),
        (500, None, True),
        (503, None, True),
        (500, ValueError("no"), True),
        (None, ValueError("no"), True),
        (499, KeyboardInterrupt(), False),
    ],
)
def test_failed_requests_are_kept(
    start: Callable[..., TracePillar],
    status: int | None,
    error: BaseException | None,
    kept: bool,
) -> None:
    """An unhandled exception or a status from 500 leaves one span that says so."""
    pillar = start(keep_errors=True)
    finish(request(pillar), status=status, error=error)

    assert len(pillar.recent()) == kept
    for record in pillar.recent():
        assert record.name == "GET /orders/{id}"
        assert record.kind == "server"
        assert record.status == "error"
        assert record.attributes["svcready.kept"] == "error"
        assert record.attributes["http.route"] == "/orders/{id}"
        assert record.attributes["url.path"] == "/orders/7"
        assert len(record.events) == (error is not None)
        assert "hunter2" not in str(record)


@pytest.mark.parametrize(
    ("method", "route", "took_s", "kept"),
    [
        ("GET", "/orders/{id}", 1.9, False),
        ("GET", "/orders/{id}", 2.0, True),
        ("GET", None, 2.0, True),
        ("POST", "/checkout", 0.4, False),
        ("POST", "/checkout", 0.5, True),
        ("GET", "/checkout", 0.6, False),
        ("GET", "/reports/{year}", 3.0, False),
        ("GET", "/reports/{year}", 61.0, True),
    ],
)
def test_slow_requests_are_kept(
    start: Callable[..., TracePillar],
    clock: FakeClock,
    method: str,
    route: str | None,
    took_s: float,
    kept: bool,
) -> None:
    """What names the route says from when on it is slow, else what names none."""
    pillar = start(keep_slower_than=SLOW)
    begun = request(pillar, method)
    clock.advance(took_s)
    finish(begun, route)

    assert len(pillar.recent()) == kept
    assert all(it.attributes["svcready.kept"] == "slow" for it in pillar.recent())


def test_failed_requests_have_to_be_slow_where_only_that_counts(
    start: Callable[..., TracePillar], clock: FakeClock
) -> None:
    """Where only slow ones are asked for, a failed one has to be slow too."""
    pillar = start(keep_slower_than=SLOW)
    finish(request(pillar), status=500)
    assert pillar.recent() == []

    begun = request(pillar)
    clock.advance(3.0)
    finish(begun, status=500)
    assert only(pillar.recent()).attributes["svcready.kept"] == "slow"


def test_what_is_sent_says_that_it_is(start: Callable[..., TracePillar]) -> None:
    """Also if somebody has looked at its flags before it was kept."""
    pillar = start(keep_errors=True)
    begun = request(pillar)
    span = trace.get_current_span()
    assert not span.get_span_context().trace_flags.sampled
    finish(begun, status=500)
    assert span.get_span_context().trace_flags.sampled


def test_no_pattern_of_a_route_takes_long() -> None:
    """A route is compared in linear time, however many `*` its pattern has."""
    pattern = "/*" + "a*" * 20 + "b"
    slow = SLOWNESS.parse(f"GET {pattern} 1s; 3s")
    keeper = Keeper(slow, 5.0, 0, FakeClock(), errors=False)
    assert keeper.reason("GET", f"/{'a' * 200}b", 200, None, 2.0) == "slow"
    assert not keeper.reason("GET", f"/{'a' * 200}", 200, None, 2.0)


def test_nothing_is_kept_unless_it_is_asked_for(
    start: Callable[..., TracePillar],
) -> None:
    """By default an unsampled failure leaves nothing, and costs nothing."""
    pillar = start()
    begun = request(pillar)
    finish(begun, status=500)

    assert pillar.recent() == []
    assert type(begun).__name__ == "ServerTrace"


def test_the_rate_is_limited(
    start: Callable[..., TracePillar], clock: FakeClock
) -> None:
    """A service that fails at every request keeps so many a second."""
    pillar = start(keep_errors=True, keep_max_per_s=5.0)
    for _ in range(100):
        finish(request(pillar), status=500)

    assert len(pillar.recent()) == 5
    clock.advance(1.0)
    for _ in range(100):
        finish(request(pillar), status=500)

    assert len(pillar.recent()) == 10


def test_to_others_it_is_not_sampled(start: Callable[..., TracePillar]) -> None:
    """Headers to and from it say so; a caller's trace is continued."""
    pillar = start(keep_errors=True)
    begun = request(
        pillar, traceparent=f"00-{TRACE}-{CALLER}-02", tracestate="vendor=1"
    )
    sent: dict[str, str] = {}
    propagate.inject(sent)
    assert span_ids() == (begun.trace_id, begun.span_id)
    finish(begun, status=500)

    assert begun.trace_id == TRACE
    assert sent["traceparent"] == f"00-{TRACE}-{begun.span_id}-02"
    assert sent["tracestate"] == "vendor=1"
    assert begun.response_header[1] == f"00-{TRACE}-{begun.span_id}-02"
    assert not begun.sampled
    record = only(pillar.recent())
    assert (record.trace_id, record.span_id) == (begun.trace_id, begun.span_id)
    assert (record.parent_id, record.remote_parent) == (CALLER, True)


@pytest.mark.parametrize("flags", ["00", "02"])
def test_what_finds_no_room_passes_the_trace_on_as_it_came(
    start: Callable[..., TracePillar], flags: str
) -> None:
    """Also a library's span that is not recorded: the random flag, the tracestate."""
    pillar = start(keep_errors=True)
    caller = f"00-{TRACE}-{CALLER}-{flags}"
    begun = request(pillar, traceparent=caller, tracestate="vendor=1")
    sent: dict[str, str] = {}
    with trace.get_tracer("library").start_as_current_span("library's"):
        propagate.inject(sent)

    finish(begun)
    assert sent["traceparent"] == f"00-{TRACE}-{begun.span_id}-{flags}"
    assert sent["tracestate"] == "vendor=1"


def test_what_is_said_of_the_request_is_on_its_span(
    start: Callable[..., TracePillar],
) -> None:
    """Annotations and events are kept, also those made inside spans that are not."""
    pillar = start(keep_errors=True)
    begun = request(pillar)
    svcready.annotate(order=7)
    with svcready.span("inner"):
        svcready.annotate(item="pear")

    trace.get_current_span().add_event("said", {"password": "hunter2"})
    with trace.get_tracer("library").start_as_current_span("library's") as inner:
        assert not inner.is_recording()

    finish(begun, status=500)

    record = only(pillar.recent())
    assert record.attributes["order"] == 7
    assert record.attributes["item"] == "pear"
    assert record.attributes["aws.xray.annotations"] == ("order", "item")
    assert record.attributes["svcready.kept.spans_left_out"] == 2
    assert [event.name for event in record.events] == ["said"]
    assert record.events[0].attributes == {"password": "***"}


def test_inner_spans_are_kept_in_a_buffer(start: Callable[..., TracePillar]) -> None:
    """With room for them the whole trace is there, and no more than there is room."""
    pillar = start(keep_errors=True, keep_spans=3)
    begun = request(pillar)
    with svcready.span("outer"), trace.get_tracer("lib").start_as_current_span("inner"):
        assert pillar.recent() == []

    for _ in range(3):
        with svcready.span("again"):
            pass

    assert pillar.recent() == []
    finish(begun, status=500)

    records = {record.name: record for record in pillar.recent()}
    assert sorted(it.name for it in pillar.recent()) == [
        "GET /orders/{id}",
        "again",
        "inner",
        "outer",
    ]
    root = records["GET /orders/{id}"]
    assert records["outer"].parent_id == root.span_id
    assert records["inner"].parent_id == records["outer"].span_id
    assert {record.trace_id for record in records.values()} == {begun.trace_id}
    assert root.attributes["svcready.kept.spans_left_out"] == 2


def test_the_buffer_of_an_uneventful_request_is_forgotten(
    start: Callable[..., TracePillar],
) -> None:
    """Its spans never leave, nor do those that end after it."""
    pillar = start(keep_errors=True, keep_spans=10)
    begun = request(pillar)
    late = trace.get_tracer("lib").start_span("late")
    with svcready.span("outer"):
        pass

    finish(begun)
    late.end()

    assert pillar.recent() == []


def test_background_work_of_a_kept_request_is_kept(
    start: Callable[..., TracePillar],
) -> None:
    """Spans that end after the request belong to its trace as well."""
    pillar = start(keep_errors=True, keep_spans=10)
    begun = request(pillar)
    late = trace.get_tracer("lib").start_span("late")
    finish(begun, status=500)
    late.end()

    assert [record.name for record in pillar.recent()] == ["GET /orders/{id}", "late"]


def test_a_sampled_request_is_sent_once(start: Callable[..., TracePillar]) -> None:
    """Where the rule has sampled it, keeping changes nothing."""
    pillar = start(keep_errors=True, keep_spans=10, sampling=ALL)
    begun = request(pillar)
    with svcready.span("outer"):
        pass

    finish(begun, status=500)

    assert [it.name for it in pillar.recent()] == ["outer", "GET /orders/{id}"]
    assert "svcready.kept" not in pillar.recent()[1].attributes


def test_threads_of_a_request_share_its_buffer(
    start: Callable[..., TracePillar],
) -> None:
    """Whatever ends while the request ends is sent once, or not at all."""
    pillar = start(keep_errors=True, keep_spans=1000, keep_max_per_s=1e6)
    for _ in range(20):
        begun = request(pillar)
        values = current()
        spans = [trace.get_tracer("lib").start_span(str(n), values) for n in range(40)]
        threads = [
            threading.Thread(target=lambda part: [s.end() for s in part], args=(part,))
            for part in (spans[:20], spans[20:])
        ]
        for thread in threads:
            thread.start()

        finish(begun, status=500)
        for thread in threads:
            thread.join()

        ids = [it.span_id for it in pillar.recent(begun.trace_id)]
        assert len(ids) == len(set(ids)) == 41


def test_it_says_what_is_kept(start: Callable[..., TracePillar]) -> None:
    """The report has a line for people."""
    assert start().describe()["kept"] == "none"
    both = start(keep_errors=True, keep_slower_than=SLOW)
    assert both.describe()["kept"] == "failed ones and slow ones, 5/s"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2s", (Slowness("*", "*", 2.0),)),
        ("500ms", (Slowness("*", "*", 0.5),)),
        ("", ()),
        (
            "2s; post /checkout 500ms",
            (Slowness("*", "*", 2.0), Slowness("POST", "/checkout", 0.5)),
        ),
        ("* /reports/* 1m;", (Slowness("*", "/reports/*", 60.0),)),
    ],
)
def test_slowness_is_read(text: str, expected: tuple[Slowness, ...]) -> None:
    """A duration for all, and for routes after method and template."""
    assert SLOWNESS.parse(text) == expected
    assert SLOWNESS.parse(SLOWNESS.show(expected)) == expected


@pytest.mark.parametrize("text", ["slow", "GET 2s", "GET checkout 2s", "2s; /x 1s"])
def test_bad_slowness_is_an_error(text: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(ValueError):  # noqa: PT011 - the kind says what is allowed
        SLOWNESS.parse(text)
